// Filters and sorts the pairs, reloads the page while the run goes on, and plays two videos side by side.
// What is shown is in the address after `#`, so that links keep it.
(() => {
  'use strict';
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const filter = one('form.filter');
  const fields = filter ? all('input, select', filter) : [];

  const asked = () => {
    const text = location.hash.slice(1);
    return text.includes('=') ? new URLSearchParams(text) : null;
  };

  // A choice that the page does not have now, as of pairs that fail later, is kept.
  function choose(field, value) {
    const known = field.tagName !== 'SELECT' || [...field.options].some((option) => option.value === value);
    if (!known) field.add(new Option(value));
    field.value = value;
    if (value && field.tagName === 'SELECT') field.closest('label').hidden = false;
  }

  function matches(row, wanted) {
    const { id, state, split, reason, gates } = row.dataset;
    return id.toLowerCase().includes(wanted.q.toLowerCase())
      && (!wanted.state || wanted.state === state)
      && (!wanted.split || wanted.split === split)
      && (!wanted.reason || wanted.reason === reason)
      && (!wanted.gate || (wanted.gate === 'any' ? gates : wanted.gate === 'none' ? !gates
        : gates.split(' ').includes(wanted.gate)));
  }

  // The value by which a row is sorted; rows without one come last.
  function key(row, sort) {
    const position = all('select[name=sort] option', filter).map((option) => option.value).indexOf(sort);
    const values = row.dataset.sort.split(' ');
    const text = sort === 'time' ? values[0] : values[position - 1];
    return text ? (sort === 'time' ? -Number(text) : Number(text)) : Infinity;
  }

  const FEW = 100;
  const more = one('[data-more]');
  let order = new Map(), limit = FEW, sorted = '';

  function show() {
    const body = one('tbody[data-live=rows]');
    if (!filter || !body) return;
    const wanted = { q: '', state: '', split: '', reason: '', gate: '', sort: '' };
    for (const field of fields) wanted[field.name] = field.value;
    const rows = all('tr', body);
    for (const row of rows) if (!order.has(row.dataset.id)) order.set(row.dataset.id, order.size);
    const place = (row) => order.get(row.dataset.id);
    const keys = new Map(wanted.sort && wanted.sort !== 'id' ? rows.map((row) => [row, key(row, wanted.sort)]) : []);
    rows.sort((a, b) => {
      if (wanted.sort === 'id') return a.dataset.id.localeCompare(b.dataset.id);
      const first = keys.get(a) ?? 0, second = keys.get(b) ?? 0;
      return (first === second ? 0 : first - second) || place(a) - place(b);
    });
    let found = 0;
    for (const row of rows) {
      const fits = matches(row, wanted);
      if (fits) found += 1;
      row.hidden = !fits || found > limit;
    }
    if (wanted.sort || sorted) body.append(...rows);
    sorted = wanted.sort;
    more.hidden = found <= limit;
    more.textContent = `Show all ${found.toLocaleString('en')}`;
    one('output', filter).textContent = `${found.toLocaleString('en')} of ${rows.length.toLocaleString('en')} pairs`;
  }

  function remember() {
    const set = fields.filter((field) => field.value).map((field) => [field.name, field.value]);
    limit = FEW;
    history.replaceState(null, '', set.length ? `#${new URLSearchParams(set)}` : location.pathname + location.search);
    show();
  }

  // Sets the filter to what the address asks for; an address that names a place opens it.
  function follow(event) {
    const wanted = asked();
    if (filter && wanted) {
      for (const field of fields) choose(field, wanted.get(field.name) ?? '');
      show();
      if (event || location.hash) one('#pairs').scrollIntoView();
      return;
    }
    const place = location.hash && document.getElementById(location.hash.slice(1));
    if (place && place.tagName === 'DETAILS') {
      place.open = true;
      place.scrollIntoView();
    }
  }

  function ready(root) {
    for (const button of all('button.both', root)) {
      button.hidden = false;
      const videos = all('video', button.parentElement);
      const plays = () => videos.some((video) => !video.paused);
      const name = () => { button.textContent = plays() ? 'Pause both' : 'Play both'; };
      button.addEventListener('click', () => {
        if (plays()) videos.forEach((video) => video.pause());
        else {
          for (const video of videos) video.currentTime = videos[0].currentTime;
          Promise.allSettled(videos.map((video) => video.play())).then(name);
        }
        name();
      });
      for (const video of videos) for (const event of ['play', 'pause']) video.addEventListener(event, name);
    }
  }

  // Parts of a page that a server gave are replaced; a file is loaded again. Nothing changes under a reader's hands: a
  // part waits while it has the focus or plays a video, a file also while a field has the focus.
  const box = one('[data-reload]'), seconds = Number(document.body.dataset.refresh);
  const given = new Map(all('[data-live]').map((part) => [part.dataset.live, part.innerHTML]));
  let reached = new Date();

  const isUsed = (part) => (part !== document.activeElement && part.contains(document.activeElement))
    || all('video', part).some((video) => !video.paused);

  function replace(part, other) {
    given.set(part.dataset.live, other.innerHTML);
    const opened = all('details', part).map((each) => each.open);
    part.replaceChildren(...other.childNodes);
    all('details', part).forEach((each, index) => { each.open = opened[index] ?? each.open; });
    ready(part);
  }

  // Returns whether a field waits.
  function renewChoices(fresh) {
    let waits = false;
    for (const field of fields.filter((each) => each.tagName === 'SELECT')) {
      const other = one(`form.filter [name=${field.name}]`, fresh);
      const values = (select) => [...select.options].map((option) => option.value).join('\n');
      if (!other || values(field) === values(other)) continue;
      if (field === document.activeElement) {
        waits = true;
        continue;
      }
      const { value } = field;
      field.replaceChildren(...other.children);
      field.closest('label').hidden = other.closest('label').hidden;
      choose(field, value);
    }
    return waits;
  }

  function tell(words) {
    const place = one('[data-unreached]');
    if (place.textContent !== words) place.textContent = words;
  }

  async function reload() {
    if (!box.checked || document.hidden) return;
    if (location.protocol === 'file:') {
      const isHeld = document.activeElement.matches('input:not([data-reload]), select, [data-live] *');
      if (!isHeld && all('video').every((video) => video.paused)) location.reload();
      return;
    }
    let text;
    try {
      const answer = await fetch(location.pathname, { cache: 'no-cache' });
      if (!answer.ok) throw new Error(answer.statusText);
      text = await answer.text();
    } catch {
      tell(`Not reached since ${reached.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })}.`);
      return;
    }
    reached = new Date();
    tell('');
    const fresh = new DOMParser().parseFromString(text, 'text/html');
    if (!filter !== !one('form.filter', fresh)) {
      location.reload();
      return;
    }
    let waits = renewChoices(fresh);
    for (const part of all('[data-live]')) {
      const other = one(`[data-live="${part.dataset.live}"]`, fresh);
      if (!other || other.innerHTML === given.get(part.dataset.live)) continue;
      if (isUsed(part)) waits = true;
      else replace(part, other);
    }
    order = new Map();
    show();
    if (!fresh.body.dataset.refresh && !waits) box.checked = false;
  }

  if (filter) {
    filter.hidden = false;
    filter.addEventListener('submit', (event) => event.preventDefault());
    for (const event of ['input', 'change']) filter.addEventListener(event, remember);
    more.addEventListener('click', () => {
      limit = Infinity;
      show();
    });
    one('[data-clear]', filter).addEventListener('click', () => {
      for (const field of fields) field.value = '';
      remember();
    });
  }
  ready(document);
  addEventListener('hashchange', follow);
  show();
  follow();
  if (box && seconds) {
    box.closest('label').hidden = false;
    const again = () => void reload();
    setInterval(again, 1000 * seconds);
    document.addEventListener('visibilitychange', again);
  }
})();
