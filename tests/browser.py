"A headless Chromium that does what a test says, over its debugging pipe: real input, the console, every request, pictures of any size."
import base64, json, os, shutil, subprocess, time
from pathlib import Path

CHROME = next(filter(None, map(shutil.which, ('chromium','chromium-browser','google-chrome'))), None)
FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars']

class Browser:
    "One tab. `said` holds what the console and uncaught errors said, `asked` every address that was requested."
    def __init__(self, profile:Path):
        assert CHROME, 'Chromium is missing: make setup installs it'
        ours, theirs = os.pipe(), os.pipe()
        self.process = subprocess.Popen(['bash', '-c', f'exec "$0" "$@" 3<&{ours[0]} 4>&{theirs[1]}', CHROME, *FLAGS, '--remote-debugging-pipe', f'--user-data-dir={profile}', 'about:blank'], pass_fds=(ours[0], theirs[1]), stderr=subprocess.DEVNULL)
        os.close(ours[0]); os.close(theirs[1])
        self.out, self.back, self.n, self.session, self.said, self.asked = os.fdopen(ours[1], 'wb', 0), os.fdopen(theirs[0], 'rb', 0), 0, None, [], []
        self.rest = b''
        target = next(t for t in self.call('Target.getTargets')['targetInfos'] if t['type']=='page')
        self.session = self.call('Target.attachToTarget', targetId=target['targetId'], flatten=True)['sessionId']
        for domain in ('Page','Runtime','Log','Network'): self.call(f'{domain}.enable')

    def close(self): self.out.close(); self.back.close(); self.process.terminate(); self.process.wait(20)

    def call(self, method:str, **params)->dict:
        "One command of the DevTools protocol; what happens meanwhile is noted."
        self.n += 1
        self.out.write(json.dumps(dict(id=self.n, method=method, params=params, **({'sessionId': self.session} if self.session else {}))).encode()+b'\0')
        while True:
            m = self._message()
            if m.get('id')==self.n:
                assert 'error' not in m, (method, m['error'])
                return m['result']
            self._note(m)

    def _message(self)->dict:
        while b'\0' not in self.rest:
            more = os.read(self.back.fileno(), 1<<16); assert more, 'the browser went away'
            self.rest += more
        one, self.rest = self.rest.split(b'\0', 1)
        return json.loads(one)

    def _note(self, m:dict):
        what, p = m.get('method'), m.get('params', {})
        if what in ('Runtime.exceptionThrown', 'Log.entryAdded', 'Runtime.consoleAPICalled'): self.said.append(p)
        if what=='Network.requestWillBeSent': self.asked.append(p['request']['url'])

    def js(self, expression:str):
        "Value of an expression in the page."
        r = self.call('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        assert 'exceptionDetails' not in r, r['exceptionDetails']
        return r['result'].get('value')

    def settle(self): self.js('new Promise(f => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(f))))')
    def open(self, url:str, ready:str='document.readyState=="complete"'):
        "A fresh load of a page."
        for address,done in (('about:blank', 'location.href=="about:blank"'), (url, f'location.href!="about:blank" && {ready}')):
            self.call('Page.navigate', url=address); self._wait(done)
        self.settle()
    def _wait(self, done:str):
        for _ in range(600):
            if self.js(done): return
            time.sleep(.05)
        raise AssertionError(f'never came true: {done}')
    def look(self, width:int, height:int, dark:bool=False, phone:bool=False):
        "A window of a size and a scheme."
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call('Emulation.setEmulatedMedia', features=[dict(name='prefers-color-scheme', value='dark' if dark else 'light')]); self.settle()
    def key(self, key:str):
        for kind in ('keyDown','keyUp'): self.call('Input.dispatchKeyEvent', type=kind, key=key, code=key)
        self.settle()
    def drag(self, a:tuple, b:tuple):
        "Press at a point, move to another, let go."
        for kind,(x,y) in (('mousePressed', a), ('mouseMoved', b), ('mouseReleased', b)): self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', buttons=1, clickCount=1)
        self.settle()
    def picture(self, path:Path)->Path:
        path = Path(path); path.write_bytes(base64.b64decode(self.call('Page.captureScreenshot', format='png')['data']))
        return path
    def pdf(self)->bytes: return base64.b64decode(self.call('Page.printToPDF', landscape=True, printBackground=True)['data'])
