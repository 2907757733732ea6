/* The wall lives: frames arrive as events, leases run down here, and a panel whose lease is over
   goes dark by itself, as the one at the roadside does. */
(function () {
  'use strict';
  var zh = document.body.getAttribute('data-lang') === 'zh';
  var lost = document.getElementById('lost');
  var ARROWS = { left: '←', straight: '↑', right: '→' };
  var signs = {};

  Array.prototype.forEach.call(document.querySelectorAll('[data-sign]'), function (box) {
    signs[box.getAttribute('data-sign')] = {
      box: box, seen: false, drawn: '', frame: null, until: 0,
      level: Number(box.getAttribute('data-level')),
      rows: Number(box.getAttribute('data-rows')),
      columns: Number(box.getAttribute('data-columns')),
      canvas: box.querySelector('canvas'), lines: box.querySelector('.lines'),
      lease: box.querySelector('.lease'), shown: box.querySelector('.shown')
    };
  });

  function dark(sign) { return !sign.frame || performance.now() >= sign.until; }

  function paint(sign, again) {
    if (!sign.frame || (sign.drawn && !sign.seen && !again)) return;
    var key = dark(sign) + JSON.stringify(sign.frame.lines);
    if (!again && key === sign.drawn) return;
    sign.drawn = key;
    sign.canvas.hidden = false;
    sign.box.classList.add('drawn');
    Led.draw(sign.canvas, {
      level: sign.level, rows: sign.rows, columns: sign.columns, dark: dark(sign), lines: sign.frame.lines
    });
    write(sign);
  }

  function write(sign) {
    var list = sign.lines;
    list.textContent = '';
    sign.frame.lines.forEach(function (line) {
      var item = document.createElement('li');
      item.className = dark(sign) ? 'unknown' : line.state;
      [['span', 'arrow', ARROWS[line.arrow] || ''], ['span', 'name', line.name],
        ['b', '', dark(sign) ? '--' : line.value]].forEach(function (part) {
        var piece = document.createElement(part[0]);
        piece.className = part[1];
        piece.textContent = part[2];
        item.appendChild(piece);
      });
      list.appendChild(item);
    });
  }

  var SAID = {
    sent: ['wait', '已发出', 'sent'], accepted: ['wait', '已送达，等屏体回报', 'delivered, no answer yet'],
    shown: ['ok', '✓ 已显示', '✓ shown'], failed: ['bad', '未显示', 'not shown']
  };
  var WHY = {
    silent: ['屏体无回报', 'panel is silent'], broker: ['没有送达', 'not delivered'],
    broker_away: ['连不上消息服务器', 'broker away']
  };

  function said(sign) {
    var state = SAID[sign.frame.state] || SAID.sent, why = sign.frame.reason;
    var text = state[zh ? 1 : 2];
    if (why) text = WHY[why] ? WHY[why][zh ? 0 : 1] : text + ' · ' + why;  /* the panel's own word */
    return [state[0], text + ' #' + sign.frame.revision];
  }

  function tick() {
    var tally = { lit: 0, dark: 0, silent: 0 };
    Object.keys(signs).forEach(function (id) {
      var sign = signs[id];
      tally[dark(sign) ? 'dark' : 'lit'] += 1;
      if (!sign.frame) return;
      var left = Math.max(0, Math.ceil((sign.until - performance.now()) / 1000));
      sign.lease.textContent = dark(sign) ? (zh ? '已过期' : 'over') : left + ' s';
      sign.lease.className = 'lease' + (dark(sign) ? ' over' : left < 10 ? ' short' : '');
      var state = said(sign);
      if (state[0] !== 'ok') tally.silent += 1;
      sign.shown.textContent = state[1];
      sign.shown.className = 'shown shown-' + state[0];
      paint(sign, false);
    });
    Object.keys(tally).forEach(function (name) {
      var place = document.querySelector('[data-tally="' + name + '"]');
      if (place) place.textContent = tally[name];
    });
  }

  var events = new EventSource(document.body.getAttribute('data-events'));
  events.onmessage = function (event) {
    var news = JSON.parse(event.data);
    Object.keys(news).forEach(function (id) {
      if (!signs[id]) return;
      signs[id].frame = news[id];
      signs[id].until = performance.now() + news[id].lease_s * 1000;
    });
    lost.hidden = true;
    tick();
  };
  events.onopen = function () { lost.hidden = true; };
  events.onerror = function () { lost.hidden = false; };

  if (window.IntersectionObserver) {
    var watcher = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        var sign = signs[entry.target.getAttribute('data-sign')];
        sign.seen = entry.isIntersecting;
        if (sign.seen) paint(sign, false);
      });
    }, { rootMargin: '300px' });
    Object.keys(signs).forEach(function (id) { watcher.observe(signs[id].box); });
  } else {
    Object.keys(signs).forEach(function (id) { signs[id].seen = true; });
  }
  var resized;
  window.addEventListener('resize', function () {
    clearTimeout(resized);
    resized = setTimeout(function () {
      Object.keys(signs).forEach(function (id) { paint(signs[id], true); });
    }, 120);
  });
  setInterval(tick, 1000);
})();
