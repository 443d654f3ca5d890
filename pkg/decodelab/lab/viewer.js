'use strict';
// Runs of a laboratory, read from the files beside this page: each of them calls `decodelab` with JSON in a text.
const S = {runs: [], byId: new Map(), loaded: new Map(), marked: [], filter: {text: '', experiment: '', status: ''}, extra: [], table: null, spaces: false};
const $ = id => document.getElementById(id), main = $('main');

function decodelab(kind, key, text) {
  const data = JSON.parse(text);
  if (kind!=='runs') return S.loaded.get(key).data = data;
  S.runs = data; S.byId = new Map(data.map(r => [r.id, r]));
  route();
}
function load(src) { // a classic script: what a page from disk may read
  if (!S.loaded.has(src)) {
    const entry = {data: null}; S.loaded.set(src, entry);
    entry.promise = new Promise((done, fail) => {
      const e = document.createElement('script'); e.src = src;
      e.onload = () => { e.remove(); entry.data===null ? fail(new Error(`${src} says nothing`)) : done(entry.data); };
      e.onerror = () => { e.remove(); S.loaded.delete(src); fail(new Error(`${src} is missing: run decodelab view again`)); };
      document.head.append(e);
    });
  }
  return S.loaded.get(src).promise;
}

// Text only ever becomes text
function el(tag, attrs, ...kids) {
  const e = document.createElement(tag);
  for (const [k,v] of Object.entries(attrs||{})) if (k.startsWith('on')) e.addEventListener(k.slice(2), v); else if (v!==false && v!==null && v!==undefined) e.setAttribute(k, v===true ? '' : v);
  e.append(...kids.flat().filter(k => k!==null && k!==undefined && k!==false)); return e;
}
const ESC = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;'};
const esc = x => String(x).replace(/[&<>"']/g, c => ESC[c]);
function number(x, sign) {
  if (typeof x!=='number') return x===null || x===undefined ? '–' : typeof x==='string' ? x : JSON.stringify(x);
  const text = Number.isInteger(x) ? x.toLocaleString('en') : Math.abs(x)>=1e4 ? Math.round(x).toLocaleString('en') : String(+x.toPrecision(4));
  return ((sign && x>0 ? '+' : '')+text).replace('-', '−');
}
const span = s => s<90 ? `${Math.round(s)} s` : s<5400 ? `${Math.round(s/60)} min` : `${(s/3600).toFixed(1)} h`;
const when = t => (t||'').replace('T', ' ').slice(0, 16);
const numeric = x => Array.isArray(x) && x.length>0 && x.length<9 && x.every(v => typeof v==='number');
const value = x => typeof x==='string' ? x : x===null ? 'none' : typeof x==='number' ? number(x) : numeric(x) ? x.length===3 && x[1]<=x[0] && x[0]<=x[2] ? `${number(x[0])} [${number(x[1])}, ${number(x[2])}]` : x.map(v => number(v)).join(', ') : JSON.stringify(x);
const many = (n, what) => `${n.toLocaleString('en')} ${what}${n===1 ? '' : 's'}`;
const pill = status => el('span', {class: `pill ${status}`}, status);
const given = r => Object.entries(r.given).map(([k,v]) => `${k}=${value(v)}`).join(' ');

// Where one is
const to = hash => { location.hash = hash; };
const runHash = (id, n) => `#/run/${encodeURIComponent(id)}` + (n===undefined ? '' : `/sample/${n}`);
function route() {
  const [, where, ...rest] = location.hash.split('/').map(decodeURIComponent);
  if (S.table && where!=='run') { S.table.destroy(); S.table = null; }
  if (where==='run' && S.byId.has(rest[0])) return showRun(S.byId.get(rest[0]), rest[1]==='sample' ? +rest[2] : null);
  if (where==='diff' && S.byId.has(rest[0]) && S.byId.has(rest[1])) return showDiff(S.byId.get(rest[0]), S.byId.get(rest[1]));
  if (where==='run' || where==='diff') return page('', note('No such run here. It may have been deleted: run decodelab view again.'));
  showRuns();
}
function page(trail, ...parts) {
  S.open = null;
  $('trail').textContent = trail; document.title = (trail || 'Runs')+' · decodelab';
  main.replaceChildren(...parts.flat().filter(Boolean)); scrollTo(0, 0);
}
const note = (text, bad) => el('div', {class: 'note'+(bad ? ' bad' : '')}, text);
const failed = e => main.append(note(e.message, true));

// A table of many rows: only those in view are drawn
const SHOW = {text: (d, type) => type==='sort' || type==='type' ? d : esc(d===null || d===undefined ? '' : type==='filter' ? String(d).replace(/[\r\n\u2028\u2029]/g, ' ') : d),
  num: (d, type) => type==='display' ? esc(number(d)) : typeof d==='number' ? d : -Infinity,
  time: (d, type) => type==='display' ? esc(d ? span(d) : '') : d||0,
  status: (d, type) => type==='display' ? `<span class="pill ${esc(d)}">${esc(d)}</span>` : d,
  mark: (d, type) => type==='display' ? (d ? '●' : '○') : d,
  yes: (d, type) => type==='display' ? d===1 ? '<span class="yes">✓</span>' : d===0 ? '<span class="no">✗</span>' : esc(number(d)) : typeof d==='number' ? d : -Infinity};
function grid(place, columns, data, open, order, height) {
  const table = el('table', {class: 'rows'});
  place.replaceChildren(table);
  const t = new DataTable(table, {data, order, autoWidth: false, deferRender: true, scroller: {loadingIndicator: false}, scrollCollapse: true, scrollY: height, scrollX: columns.reduce((w, c) => w+c.width, 0) > place.clientWidth,
    keys: {clipboard: false, className: 'focus', blurable: true}, layout: {topStart: null, topEnd: null, bottomStart: null, bottomEnd: null},
    language: {emptyTable: 'nothing here', zeroRecords: 'nothing matches'},
    columns: columns.map((c, i) => ({title: esc(c.title), data: i, width: c.width+'px', render: SHOW[c.show||'text'], searchable: c.show!=='mark', className: ['num', 'time'].includes(c.show) ? 'num' : '', orderSequence: c.show==='num' || c.show==='time' ? ['desc', 'asc'] : ['asc', 'desc'],
      type: ['num', 'time', 'yes', 'mark'].includes(c.show) ? 'num' : 'string'}))});
  t.on('key', (e, api, key, cell) => { if (key===13) open(t.row(cell.index().row).data(), cell.index()); });
  table.addEventListener('click', e => { const row = e.target.closest('tbody tr'), cell = e.target.closest('td'); if (row && t.row(row).data()) open(t.row(row).data(), cell && t.cell(cell).index(), true); });
  return t;
}
const room = (place, least) => Math.max(least, innerHeight-place.getBoundingClientRect().top-84)+'px';
const later = (f, ms, timer) => (...a) => { clearTimeout(timer); timer = setTimeout(f, ms, ...a); };
const choice = (label, values, now, change) => el('select', {'aria-label': label, onchange: e => change(e.target.value)}, el('option', {value: ''}, label), values.map(v => el('option', {value: v, selected: v===now}, v)));
const kinds = f => [...new Set(S.runs.map(f))].sort();

// All runs
function names(kind) { const all = new Set(); for (const r of S.runs) for (const k in r[kind]) all.add(`${kind}.${k}`); return [...all].sort(); }
function showRuns() {
  const F = S.filter, place = el('div', {class: 'frame'}), count = el('span', {class: 'count', role: 'status'});
  const search = el('input', {type: 'search', id: 'search', placeholder: 'Search runs, parameters, results', 'aria-label': 'Search runs', value: F.text, oninput: later(e => { F.text = search.value; apply(); }, 120)});
  const add = el('input', {list: 'names', placeholder: 'Add a column', 'aria-label': 'Add a parameter or metric as a column', onchange: () => { if (known.has(add.value) && !S.extra.includes(add.value)) { S.extra.push(add.value); showRuns(); } }});
  const all = [...names('params'), ...names('metrics')], known = new Set(all);
  const diff = el('button', {type: 'button', class: 'primary', id: 'diff', onclick: goDiff}, 'Diff');
  page('', el('div', {class: 'bar'}, search, choice('all experiments', kinds(r => r.experiment), F.experiment, v => { F.experiment = v; apply(); }), choice('all statuses', kinds(r => r.status), F.status, v => { F.status = v; apply(); }),
    add, el('datalist', {id: 'names'}, all.map(v => el('option', {value: v}))), S.extra.length ? el('button', {type: 'button', onclick: () => { S.extra = []; showRuns(); }}, 'Fewer columns') : null, diff, count), place);
  const columns = [{title: 'mark', width: 76, show: 'mark'}, {title: 'run', width: 236}, {title: 'experiment', width: 160}, {title: 'status', width: 102, show: 'status'}, {title: 'given', width: 188}, {title: 'result', width: 258},
    {title: 'samples', width: 110, show: 'num'}, {title: 'time', width: 84, show: 'time'}, ...S.extra.map(name => ({title: name.replace(/^\w+\./, ''), width: 130, show: S.runs.some(r => typeof pick(r, name)==='number') ? 'num' : 'text'}))];
  if (S.table) S.table.destroy();
  const rows = S.runs.map(r => [S.marked.includes(r.id) ? 1 : 0, r.folder, r.experiment, r.status, given(r), r.problem || r.result, r.samples, r.seconds, ...S.extra.map(name => pick(r, name)), r.id]);
  const t = S.table = grid(place, columns, rows, (row, at, mouse) => mouse && at && at.column===0 ? mark(row[row.length-1]) : to(runHash(row[row.length-1])), [], room(place, 260));
  t.search.fixed('kind', (text, row) => (!F.experiment || row[2]===F.experiment) && (!F.status || row[3]===F.status));
  function apply() { t.search(F.text).draw(); told(); }
  function told() {
    const n = t.rows({search: 'applied'}).count();
    count.textContent = `${n.toLocaleString('en')} of ${many(S.runs.length, 'run')}`;
    diff.disabled = S.marked.length!==2; diff.textContent = S.marked.length===2 ? 'Diff of the marked' : `Diff (mark ${2-S.marked.length} more)`;
  }
  S.open = {search, told};
  S.mark = id => { t.rows().every(function () { const d = this.data(); if (d[d.length-1]===id) { d[0] = S.marked.includes(id) ? 1 : 0; this.invalidate(); } }); draw(); told(); };
  S.focused = () => { const cell = t.cell({focused: true}); return cell.any() ? t.row(cell.index().row).data().at(-1) : null; };
  const draw = () => { for (const row of place.querySelectorAll('tbody tr')) { const d = t.row(row).data(); row.classList.toggle('marked', !!d && d[0]===1); } };
  t.on('draw', draw); apply();
  if (rows.length) t.cell(':eq(0)', 1).focus();
}
const pick = (r, name) => { const k = name.slice(name.indexOf('.')+1), x = r[name.split('.')[0]][k]; return typeof x==='number' || x===undefined ? x===undefined ? null : x : value(x); };
function mark(id) { S.marked = S.marked.includes(id) ? S.marked.filter(x => x!==id) : [...S.marked, id].slice(-2); const was = new Set([id, ...S.marked]); for (const r of was) S.mark(r); for (const r of S.runs) if (!was.has(r.id) && r.was) S.mark(r.id); for (const r of S.runs) r.was = S.marked.includes(r.id); }
function goDiff() { if (S.marked.length===2) to(`#/diff/${S.marked.map(encodeURIComponent).join('/')}`); }

// One run
const kv = (entries, strong) => el('div', {class: 'scroll'}, el('table', {class: 'kv'}, el('tbody', {}, entries.map(([k,v]) => el('tr', {class: strong && k in strong ? 'given' : ''}, el('td', {}, k), el('td', {}, value(v)))))));
function finder(label, entries, strong) { // a list of names and values, searched as one types
  const box = el('div', {}), find = el('input', {type: 'search', placeholder: `Find among ${entries.length}`, 'aria-label': `Find in ${label}`, oninput: () => fill()});
  const fill = () => box.replaceChildren(kv(entries.filter(([k,v]) => `${k} ${value(v)}`.toLowerCase().includes(find.value.toLowerCase())), strong));
  fill();
  return el('section', {}, el('h2', {}, label), entries.length > 12 ? el('div', {class: 'bar'}, find) : null, entries.length ? box : el('p', {class: 'soft'}, 'none'));
}
const facts = r => el('p', {class: 'facts'}, [['started', when(r.started)], ['time', r.seconds ? span(r.seconds) : '–'], ['samples', number(r.samples)], ['code', r.code], ['data', r.data ? r.data.slice(0, 12) : '–']].map(([k,v]) => el('span', {}, k+' ', el('b', {}, v))));
async function showRun(r, n) {
  if (S.open && S.open.run===r.id) return S.open.sample(n);
  page(`${r.experiment} / ${r.folder}`, el('h1', {}, r.folder, ' ', pill(r.status)), facts(r));
  const mine = S.open = {run: r.id, sample: () => {}};
  if (r.problem) return main.append(note(`This run cannot be read whole: ${r.problem}`, true));
  let more, index;
  try { [more, index] = await Promise.all([load(`data/${r.at}/run.js`), load(`data/${r.at}/index.js`)]); } catch (e) { return failed(e); }
  if (S.open!==mine) return;
  if (more.error) main.append(el('div', {class: 'note bad'}, 'It failed: ', el('pre', {}, more.error)));
  if (more.links.length) main.append(el('p', {class: 'links'}, more.links.map(([text, href]) => el('a', {href}, text))));
  const detail = el('div', {id: 'detail'}), place = el('div', {class: 'frame'});
  const side = el('aside', {}, finder('Parameters', Object.entries(r.params), r.given), finder('Metrics', more.metrics), finder('Made with', more.made));
  const figures = more.figures.length ? el('section', {}, el('h2', {}, 'Figures'), el('div', {class: 'figures'}, more.figures.map(([name, src]) => el('a', {href: src}, el('img', {src, alt: `Figure ${name}`, loading: 'lazy'}), el('span', {}, name))))) : null;
  main.append(el('div', {class: 'cols'}, side, el('div', {}, figures, index.stages.length ? samples(r, index, place, detail) : el('section', {}, el('h2', {}, 'Samples'), el('p', {class: 'soft'}, 'This run has none.')))));
  if (index.stages.length) mine.fill(n===null ? 0 : index.stages.findIndex(s => n>=s.from && n<s.from+s.rows.length));
  mine.sample(n);
}
function samples(r, index, place, detail) {
  const mine = S.open, count = el('span', {class: 'count', role: 'status'});
  const search = el('input', {type: 'search', id: 'search', placeholder: 'Search samples', 'aria-label': 'Search samples', oninput: later(() => { S.table.search(search.value).draw(); told(); }, 150)});
  const stages = el('select', {'aria-label': 'Stage', onchange: () => mine.fill(+stages.value)}, index.stages.map((s, i) => el('option', {value: i}, `${s.name || 'samples'} (${s.rows.length.toLocaleString('en')})`)));
  const outcome = el('select', {'aria-label': 'Outcome', onchange: () => { S.table.draw(); told(); }});
  const told = () => { const n = S.table.rows({search: 'applied'}).count(), all = index.stages[mine.stage].rows.length; count.textContent = `${n.toLocaleString('en')} of ${many(all, 'sample')}`; };
  mine.search = search;
  mine.fill = i => {
    const stage = index.stages[mine.stage = Math.max(0, i)]; stages.value = mine.stage;
    const yes = stage.numbers.filter(m => m[1]), at = new Map(stage.numbers.map((m, k) => [m[0], 3+k]));
    outcome.replaceChildren(el('option', {value: ''}, 'all outcomes'), ...yes.flatMap(([m]) => [el('option', {value: `1 ${m}`}, `${m} ✓`), el('option', {value: `0 ${m}`}, `${m} ✗`)]));
    outcome.hidden = !yes.length;
    if (S.table) S.table.destroy();
    const columns = [{title: 'item', width: 130}, {title: 'question', width: 230}, {title: 'output', width: 230}, ...stage.numbers.map(([m, binary]) => ({title: m, width: Math.max(92, 9*m.length+38), show: binary ? 'yes' : 'num'}))];
    const rows = stage.rows.map((row, k) => [...row, stage.from+k]);
    S.table = grid(place, columns, rows, row => to(runHash(r.id, row.at(-1))), [], '340px');
    S.table.search.fixed('outcome', (text, row) => { if (!outcome.value) return true; const [want, ...m] = outcome.value.split(' '); return row[at.get(m.join(' '))]===+want; });
    S.table.search(search.value).draw(); told();
  };
  mine.sample = async n => {
    if (n===null || Number.isNaN(n)) return detail.replaceChildren(el('p', {class: 'soft small'}, 'Enter or a click opens a sample whole.'));
    mine.at = n;
    const chunk = index.chunks.findIndex(([from, size]) => n>=from && n<from+size);
    if (chunk<0) return detail.replaceChildren(note('This run has no such sample.'));
    let records; try { records = await load(`data/${r.at}/c${String(chunk).padStart(5, '0')}.js`); } catch (e) { return failed(e); }
    if (mine.at!==n || S.open!==mine) return;
    detail.replaceChildren(sampleView(records[n-index.chunks[chunk][0]], n, mine));
    if (detail.getBoundingClientRect().top > innerHeight-160) detail.scrollIntoView({block: 'start'});
  };
  mine.step = by => { // in the order that is shown
    const shown = S.table.rows({search: 'applied', order: 'applied'}).data().toArray().map(row => row.at(-1)), k = shown.indexOf(mine.at);
    const next = shown[Math.min(shown.length-1, Math.max(0, k<0 ? 0 : k+by))]; if (next!==undefined) to(runHash(r.id, next));
  };
  mine.back = () => runHash(r.id);
  return el('section', {}, el('h2', {}, 'Samples'), el('div', {class: 'bar'}, search, stages, outcome, count), place, detail);
}
// Exactly what stands there; with `w`, spaces, tabs, line ends and what cannot be seen get signs
const SIGN = {' ': '·', '\t': '→\t', '\n': '¶\n', '\r': '␍', '\u2028': '⟨LS⟩', '\u2029': '⟨PS⟩', '\u00a0': '⍽', '\u200b': '⟨ZWSP⟩', '\ufeff': '⟨BOM⟩'};
function exact(text) {
  text = typeof text==='string' ? text : JSON.stringify(text);
  if (!S.spaces) return [text];
  return text.split(/([ \t\n\r\u2028\u2029\u00a0\u200b\ufeff\u0000-\u0008]+)/).map((part, i) => i%2 ? el('i', {}, [...part].map(c => SIGN[c] || `⟨${c.charCodeAt(0).toString(16)}⟩`).join('')) : part);
}
const said = (title, text) => el('div', {class: 'said'}, el('h3', {}, el('span', {}, title), el('span', {}, many([...(typeof text==='string' ? text : JSON.stringify(text))].length, 'character'))), el('pre', {}, exact(text)));
const outcomes = s => el('div', {class: 'outcomes'}, s.numbers.map(([k,v,binary]) => el('span', {class: binary ? v ? 'yes' : 'no' : ''}, k+' ', binary ? v ? '✓' : '✗' : number(v))));
function sampleView(s, n, mine) {
  const b = (text, f, label) => el('button', {type: 'button', onclick: f, 'aria-label': label}, text);
  return el('div', {}, el('h2', {}, ''), el('div', {class: 'step'}, b('‹', () => mine.step(-1), 'Previous sample'), b('›', () => mine.step(1), 'Next sample'), el('b', {}, s.id), el('span', {class: 'soft'}, [s.stage, s.number ? `sample ${s.number}` : ''].filter(Boolean).join(', ')), b(S.spaces ? 'Hide spaces' : 'Show spaces', spaces, '')),
    outcomes(s), el('div', {class: 'texts'}, s.texts.map(([title, text]) => said(title, text))),
    el('details', {open: true}, el('summary', {}, `The rest of the record (${s.rest.length})`), kv(s.rest)));
}
function spaces() { S.spaces = !S.spaces; if (S.open && S.open.sample) S.open.sample(S.open.at===undefined ? null : S.open.at); if (S.open && S.open.redraw) S.open.redraw(); }

// Two runs
async function showDiff(a, b) {
  page(`${a.folder} against ${b.folder}`, el('h1', {}, 'A against B'));
  const mine = S.open = {}, head = r => el('p', {class: 'facts'}, el('a', {href: runHash(r.id)}, `${r.experiment} / ${r.folder}`), pill(r.status), el('span', {}, given(r) || 'defaults'));
  main.append(el('div', {class: 'two'}, el('div', {}, el('b', {}, 'A '), head(a)), el('div', {}, el('b', {}, 'B '), head(b))));
  const differ = (x, y) => [...new Set([...Object.keys(x), ...Object.keys(y)])].filter(k => JSON.stringify(x[k])!==JSON.stringify(y[k]));
  const cell = (x, k) => k in x ? value(x[k]) : '–';
  const rows = differ(a.params, b.params).map(k => el('tr', {}, el('td', {}, k), el('td', {}, cell(a.params, k)), el('td', {}, cell(b.params, k))));
  const plain = (heads, rows, label, numbersFrom=99) => el('div', {class: 'wide', role: 'region', tabindex: 0, 'aria-label': label}, el('table', {class: 'plain'}, el('thead', {}, el('tr', {}, heads.map((h, i) => el('th', {class: i>=numbersFrom ? 'num' : ''}, h)))), el('tbody', {}, rows)));
  main.append(el('h2', {}, 'Parameters that differ'), rows.length ? plain(['parameter', 'A', 'B'], rows, 'Parameters') : el('p', {class: 'soft'}, 'none'));
  let parts; try { parts = await Promise.all([a, b].flatMap(r => ['run', 'index'].map(f => load(`data/${r.at}/${f}.js`)))); } catch (e) { return failed(e); }
  if (S.open!==mine) return;
  const [ra, ia, rb, ib] = parts, [ma, mb] = [ra, rb].map(r => Object.fromEntries(r.metrics));
  const moved = differ(ma, mb).map(k => el('tr', {}, el('td', {}, k), el('td', {}, cell(ma, k)), el('td', {}, cell(mb, k)), el('td', {class: 'num'}, typeof ma[k]==='number' && typeof mb[k]==='number' ? number(mb[k]-ma[k], true) : '')));
  main.append(el('h2', {}, 'Samples, item by item'));
  if (a.data!==b.data) main.append(note(`These runs are not of the same data (${(a.data||'none').slice(0, 12)} against ${(b.data||'none').slice(0, 12)}): only items of the same name that ask the same are set side by side.`));
  else main.append(el('p', {class: 'soft small'}, 'The same items and questions. Tests, intervals and what many metrics may claim together: ', el('code', {}, `decodelab compare ${a.folder} ${b.folder}`)));
  const both = [], under = ib.stages.map(s => [s.name, new Map(s.rows.map((row, k) => [row[0], k]))]);
  for (const s of ia.stages) for (const [k, t] of ib.stages.entries()) if (s.name===t.name) {
    const pairs = s.rows.map((row, i) => [i, under[k][1].get(row[0])]).filter(([i, j]) => j!==undefined && s.asked[i]===t.asked[j]);
    s.numbers.forEach(([name, binary], x) => { const y = t.numbers.findIndex(m => m[0]===name); if (y<0 || !pairs.length) return;
      const values = pairs.map(([i, j]) => [s.rows[i][3+x], t.rows[j][3+y], s.from+i, t.from+j, s.rows[i][0]]).filter(v => typeof v[0]==='number' && typeof v[1]==='number'), other = values.filter(v => v[0]!==v[1]);
      if (other.length) both.push({stage: s.name, name, binary: binary && t.numbers[y][1], n: values.length, a: mean(values, 0), b: mean(values, 1), other}); });
  }
  const items = el('div', {id: 'items'});
  const open = m => () => { mine.list = m; mine.k = 0; mine.redraw(); items.scrollIntoView({block: 'nearest'}); };
  mine.redraw = () => mine.list && itemsView(items, mine, [a, b], [ia, ib]);
  mine.step = by => { if (mine.list) { mine.k = Math.min(mine.list.other.length-1, Math.max(0, mine.k+by)); mine.redraw(); } };
  mine.back = () => '#/';
  both.sort((x, y) => y.binary-x.binary);
  main.append(both.length ? plain(['stage', 'metric', 'n', 'A', 'B', 'B − A', 'differ', '↑', '↓'], both.map(m => { const f = open(m), up = m.other.filter(v => v[1]>v[0]).length;
    return el('tr', {class: 'go', tabindex: 0, onclick: f, onkeydown: e => e.key==='Enter' && f()}, el('td', {}, m.stage), el('td', {}, m.name), [m.n, m.a, m.b].map(x => el('td', {class: 'num'}, number(x))), el('td', {class: 'num moved'}, number(m.b-m.a, true)), [m.other.length, up, m.other.length-up].map(x => el('td', {class: 'num'}, number(x)))); }), 'Samples', 2) : el('p', {class: 'soft'}, 'No number differs on items that both have.'), items);
  main.append(el('h2', {}, 'Metrics that differ'), moved.length ? plain(['metric', 'A', 'B', 'B − A'], moved, 'Metrics', 3) : el('p', {class: 'soft'}, 'none'));
}
const mean = (rows, i) => rows.reduce((t, v) => t+v[i], 0)/rows.length;
async function itemsView(place, mine, runs, indexes) {
  const m = mine.list, k = mine.k, [x, y, i, j, name] = m.other[k];
  const found = await Promise.all([i, j].map(async (n, side) => { const index = indexes[side], c = index.chunks.findIndex(([from, size]) => n>=from && n<from+size); return (await load(`data/${runs[side].at}/c${String(c).padStart(5, '0')}.js`))[n-index.chunks[c][0]]; }));
  if (mine.list!==m || mine.k!==k) return;
  const b = (text, by, label) => el('button', {type: 'button', 'aria-label': label, onclick: () => mine.step(by)}, text);
  const half = (side, s, v) => el('div', {}, el('p', {class: 'small'}, el('b', {}, 'AB'[side]+' '), `${m.name} ${number(v)} `, el('a', {href: runHash(runs[side].id, [i, j][side])}, 'whole sample')), el('div', {class: 'texts'}, s.texts.map(([title, text]) => said(title, text))));
  place.replaceChildren(el('div', {class: 'step'}, b('‹', -1, 'Previous item'), b('›', 1, 'Next item'), el('b', {}, name), el('span', {class: 'soft'}, `${m.stage} ${m.name}: item ${k+1} of ${m.other.length.toLocaleString('en')} that differ`)), el('div', {class: 'two'}, half(0, found[0], x), half(1, found[1], y)));
}

// By keyboard
addEventListener('hashchange', route);
$('help').addEventListener('click', () => { const k = $('keys'); k.hidden = !k.hidden; $('help').setAttribute('aria-expanded', !k.hidden); });
addEventListener('keydown', e => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName), here = location.hash.split('/')[1] || '';
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key==='Escape') { if (typing) return e.target.blur(); if (here) to(here==='run' && location.hash.includes('/sample/') ? S.open.back() : '#/'); return; }
  if (typing) return;
  const done = {'/': () => $('search') && $('search').focus(), '?': () => $('help').click(), w: spaces, d: () => !here && goDiff(),
    x: () => { const id = !here && S.focused(); if (id) mark(id); }, j: () => S.open && S.open.step && S.open.step(1), k: () => S.open && S.open.step && S.open.step(-1)}[e.key];
  if (done) { e.preventDefault(); done(); }
}, true);
