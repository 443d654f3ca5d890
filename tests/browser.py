"""A headless Chromium that does what a test says, over its debugging pipe.

Real input, the console, every request, pictures of any size."""
import base64, json, os, shutil, subprocess, time
from pathlib import Path

CHROME = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--hide-scrollbars',
         '--disable-background-networking', '--disable-component-update', '--disable-sync']
EVENTS = ('Runtime.exceptionThrown', 'Log.entryAdded', 'Runtime.consoleAPICalled')
DRAWN = 'new Promise(f => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(f))))'

class Pipe:
    "Messages to a Chromium and from it, each ended by a zero byte."
    def __init__(self, profile:Path):
        assert CHROME, 'Chromium is missing: make setup installs it'
        ours, theirs = os.pipe(), os.pipe()
        plumbed = ['bash', '-c', f'exec "$0" "$@" 3<&{ours[0]} 4>&{theirs[1]}']
        line = [*plumbed, CHROME, *FLAGS, '--remote-debugging-pipe', f'--user-data-dir={profile}', 'about:blank']
        self.process = subprocess.Popen(line, pass_fds=(ours[0], theirs[1]), stderr=subprocess.DEVNULL)
        os.close(ours[0])
        os.close(theirs[1])
        self.out, self.back, self.rest = os.fdopen(ours[1], 'wb', 0), os.fdopen(theirs[0], 'rb', 0), b''

    def close(self):
        self.out.close()
        self.back.close()
        self.process.terminate()
        self.process.wait(20)

    def send(self, message:dict):
        self.out.write(json.dumps(message).encode()+b'\0')

    def receive(self)->dict:
        while b'\0' not in self.rest:
            more = os.read(self.back.fileno(), 1<<16)
            assert more, 'the browser went away'
            self.rest += more
        one, self.rest = self.rest.split(b'\0', 1)
        return json.loads(one)

class Browser:
    "One tab. `said` holds what the console and uncaught errors said, `asked` every address that was requested."
    def __init__(self, profile:Path):
        self.pipe, self.n, self.session, self.said, self.asked = Pipe(profile), 0, None, [], []
        target = next(t for t in self.call('Target.getTargets')['targetInfos'] if t['type']=='page')
        attached = self.call('Target.attachToTarget', targetId=target['targetId'], flatten=True)
        self.session = attached['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'): self.call(f'{domain}.enable')

    def close(self): self.pipe.close()

    def call(self, method:str, **params)->dict:
        "One command of the DevTools protocol; what happens meanwhile is noted."
        self.n += 1
        tab = {'sessionId': self.session} if self.session else {}
        self.pipe.send(dict(id=self.n, method=method, params=params, **tab))
        while (message := self.pipe.receive()).get('id')!=self.n: self._note(message)
        assert 'error' not in message, (method, message['error'])
        return message['result']

    def _note(self, message:dict):
        what, params = message.get('method'), message.get('params', {})
        if what in EVENTS: self.said.append(params)
        if what=='Network.requestWillBeSent': self.asked.append(params['request']['url'])

    def js(self, expression:str):
        "Value of an expression in the page."
        result = self.call('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        assert 'exceptionDetails' not in result, result['exceptionDetails']
        return result['result'].get('value')

    def settle(self):
        "Wait until what was changed is drawn."
        self.js(DRAWN)

    def open(self, url:str, ready:str='document.readyState=="complete"'):
        "A fresh load of a page."
        blank = 'about:blank'
        for address,done in ((blank, f'location.href=="{blank}"'), (url, f'location.href!="{blank}" && {ready}')):
            self.call('Page.navigate', url=address)
            self._wait(done)
        self.settle()

    def _wait(self, done:str):
        for _ in range(600):
            if self.js(done): return
            time.sleep(.05)
        raise AssertionError(f'never came true: {done}')

    def look(self, width:int, height:int, dark:bool=False, phone:bool=False):
        "A window of a size and a scheme."
        size = dict(width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = dict(name='prefers-color-scheme', value='dark' if dark else 'light')
        self.call('Emulation.setDeviceMetricsOverride', **size)
        self.call('Emulation.setEmulatedMedia', features=[scheme])
        self.settle()

    def key(self, key:str):
        for kind in ('keyDown', 'keyUp'): self.call('Input.dispatchKeyEvent', type=kind, key=key, code=key)
        self.settle()

    def drag(self, a:tuple, b:tuple):
        "Press at a point, move to another, let go."
        for kind,(x,y) in (('mousePressed', a), ('mouseMoved', b), ('mouseReleased', b)):
            self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', buttons=1, clickCount=1)
        self.settle()

    def picture(self, path:Path)->Path:
        Path(path).write_bytes(base64.b64decode(self.call('Page.captureScreenshot', format='png')['data']))
        return Path(path)

    def pdf(self)->bytes:
        return base64.b64decode(self.call('Page.printToPDF', landscape=True, printBackground=True)['data'])
