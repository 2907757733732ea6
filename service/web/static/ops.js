/* The operations page: asks for the whole state every two seconds and writes what changed. */
(function () {
  'use strict';
  var zh = document.body.getAttribute('data-lang') === 'zh';
  var vocabulary = JSON.parse(document.getElementById('vocabulary').textContent);
  var say = Tables.say, piece = Tables.piece, element = Tables.element;
  var lost = document.getElementById('lost');
  var chosen = { site: '', quality: '', find: '' };
  var state = null, refusedBefore = null;

  function word(key) { return vocabulary.say[key] || key; }
  function why(key) { return vocabulary.why[key] || vocabulary.say[key] || key.replace(/_/g, ' '); }
  function refusal(key) {
    var words = vocabulary.refusals;
    if (words[key]) return words[key];
    return key.indexOf('bad_') === 0 ? words.bad + key.slice(4) : why(key);
  }
  function part(key) { return vocabulary.parts[key] || key; }
  function head(key) { return vocabulary.columns[key]; }
  function name(row) { return zh ? row.name.zh : row.name.en; }
  function grouped(number) { return String(number).replace(/\B(?=(\d{3})+$)/g, ','); }

  function span(seconds) {
    if (seconds === null || seconds === undefined) return '--';
    if (seconds < 60) return Math.ceil(seconds) + (zh ? ' 秒' : ' s');
    if (seconds < 3600) return Math.floor(seconds / 60) + (zh ? ' 分' : ' min');
    if (seconds < 172800) return Math.floor(seconds / 3600) + (zh ? ' 小时' : ' h');
    return Math.floor(seconds / 86400) + (zh ? ' 天' : ' d');
  }
  function yuan(fen) { return fen === null ? '' : '¥' + (fen / 100).toFixed(2); }
  /* In the sites' own time, wherever the screen is. */
  function timeOfDay(text, fields) {
    fields.hour12 = false;
    fields.timeZone = document.body.getAttribute('data-timezone');
    return new Date(text).toLocaleTimeString('zh-CN', fields);
  }
  function clock(text) {
    if (!text) return '';
    return timeOfDay(text, { hour: '2-digit', minute: '2-digit' });
  }

  /* A lot in one word: closed before anything else, then how far its number can be trusted. */
  function standing(row) { return row.openness === 'closed' ? 'closed' : row.quality; }
  function share(row) { return row.free === null || !row.capacity ? null : 1 - row.free / row.capacity; }

  function twoLines(cell, upper, lower) {
    say(piece(cell, 0, 'b'), upper);
    say(piece(cell, 1, 'small'), lower);
  }

  function bar(cell, row) {
    var track = piece(cell, 0, 'span', 'bar ' + (share(row) === null ? 'blank' : row.free === 0 ? 'full' :
      share(row) > 0.9 ? 'tight' : ''));
    var fill = piece(track, 0, 'i');
    var doubt = piece(track, 1, 'u');
    var used = share(row) === null ? 0 : share(row) * 100;
    var band = row.capacity && row.free !== null ? row.band / row.capacity * 100 : 0;
    fill.style.width = used.toFixed(1) + '%';
    doubt.style.left = Math.max(0, used - band).toFixed(1) + '%';
    doubt.style.width = (band ? Math.min(100, used + band) - Math.max(0, used - band) : 0).toFixed(1) + '%';
    say(piece(cell, 1, 'em'), share(row) === null ? '--' : Math.round(used) + '%');
  }

  function pill(cell, tone, text, more) {
    say(piece(cell, 0, 'span'), text, 'pill ' + tone);
    say(piece(cell, 1, 'small'), more || '');
  }

  function trouble(row) {
    if (standing(row) === 'fresh') return row.received ? word('received') : '';
    var because = row.why === 'ok' || row.why === standing(row) ? '' : why(row.why) + ' · ';
    return because + (row.since_s === null ? '' : span(row.since_s));
  }

  function zones(cell, row) {
    var list = piece(cell, 0, 'ul', 'zones');
    while (list.children.length > row.zones.length) list.removeChild(list.lastChild);
    row.zones.forEach(function (zone, at) {
      var item = piece(list, at, 'li');
      twoLines(piece(item, 0, 'span', 'name'), word(zone.kind) + (zone.public ? '' : ' · ' + word('public_not')),
        zone.id + ' · ' + word(zone.fed_by));
      bar(piece(item, 1, 'span', 'occupancy'), zone);
      say(piece(item, 2, 'b'), (zone.free === null ? '--' : zone.free) + ' / ' + zone.capacity);
      pill(piece(item, 3, 'span', 'quality'), standing(zone), word(standing(zone)), trouble(zone));
      say(piece(item, 4, 'small'), span(zone.age_s));
    });
  }

  function column(key, number, sort, draw) {
    return { key: key, title: head(key), number: number, sort: sort, draw: draw };
  }
  var WORST = { unknown: 0, unverified: 1, stale: 2, fresh: 3, closed: 4 };
  var siteNames = {}, lotNames = {};

  var lots = new Tables.Table(document.getElementById('lots'), [
    column('lot', false, name, function (cell, row) { twoLines(cell, name(row), siteNames[row.site] || row.site); }),
    column('occupancy', false, share, bar),
    column('free', true, function (row) { return row.free; }, function (cell, row) {
      say(piece(cell, 0, 'b'), row.free === null ? '--' : grouped(row.free));
      say(piece(cell, 1, 'small'), '/ ' + grouped(row.capacity));
    }),
    column('coming', true, function (row) { return row.on_the_way; }, function (cell, row) {
      say(cell, row.on_the_way >= 0.5 ? String(Math.round(row.on_the_way)) : '');
    }),
    column('quality', false, function (row) { return WORST[standing(row)]; }, function (cell, row) {
      pill(cell, standing(row), word(standing(row)), trouble(row));
    }),
    column('age', true, function (row) { return row.age_s; }, function (cell, row) { say(cell, span(row.age_s)); })
  ], function (row) { return row.id; }, zones);

  var PANEL = { shown: 'fresh', accepted: 'stale', sent: 'stale', failed: 'unknown', none: 'unknown' };
  var signs = new Tables.Table(document.getElementById('signs'), [
    column('sign', false, name, function (cell, row) {
      var link = piece(cell, 0, 'a');
      link.href = '/signs/' + encodeURIComponent(row.id);
      say(link, name(row));
      say(piece(cell, 1, 'small'), 'L' + row.level + ' · ' + row.id);
    }),
    column('shows', false, function (row) { return row.revision; }, function (cell, row) {
      var over = row.lease_s === 0;
      while (cell.children.length > row.lines.length) cell.removeChild(cell.lastChild);
      row.lines.forEach(function (line, at) {
        var item = piece(cell, at, 'span', 'line ' + (over ? 'unknown' : line[3]));
        say(piece(item, 0, 'span'), line[0] + ' ' + line[1]);
        say(piece(item, 1, 'b'), over ? '--' : line[2]);
      });
    }),
    column('lease', true, function (row) { return row.lease_s; }, function (cell, row) {
      say(cell, row.lease_s === null ? '--' : span(row.lease_s));
    }),
    column('panel', false, function (row) { return PANEL[row.delivery]; }, function (cell, row) {
      pill(cell, PANEL[row.delivery] || 'stale', word(row.delivery),
        (row.reason ? why(row.reason) + ' · ' : '') + span(row.since_s));
    })
  ], function (row) { return row.id; });

  var unknown = new Tables.Table(document.getElementById('unknown'), [
    column('device', false, function (row) { return row.device; }, function (cell, row) {
      twoLines(cell, row.device, row.topic);
    }),
    column('reason', false, function (row) { return row.reason; }, function (cell, row) {
      say(piece(cell, 0, 'span'), why(row.reason));
      var add = piece(cell, 1, 'small');
      say(piece(add, 0, 'span'), row.add ? word('add') : '');
      say(piece(add, 1, 'code'), row.add);
    }),
    column('count', true, function (row) { return row.count; }, function (cell, row) { say(cell, grouped(row.count)); }),
    column('first', true, function (row) { return row.first_s; }, function (cell, row) { say(cell, span(row.first_s)); }),
    column('last', true, function (row) { return row.last_s; }, function (cell, row) { say(cell, span(row.last_s)); })
  ], function (row) { return row.device + '\t' + row.topic; });

  var DEVICE = { healthy: 'fresh', missing: 'stale', battery_low: 'stale', fault: 'stale' };
  var known = new Tables.Table(document.getElementById('known'), [
    column('device', false, function (row) { return row.device; }, function (cell, row) {
      twoLines(cell, row.device, row.model);
    }),
    column('where', false, function (row) { return row.lot + row.place; }, function (cell, row) {
      twoLines(cell, lotNames[row.lot] || row.lot, row.place);
    }),
    column('state', false, function (row) { return row.state; }, function (cell, row) {
      pill(cell, DEVICE[row.state] || 'unknown', word(row.state), row.more);
    }),
    column('heard', true, function (row) { return row.heard_s; }, function (cell, row) { say(cell, span(row.heard_s)); })
  ], function (row) { return row.device; });

  var MONEY = { paid: 'fresh', recovered: 'fresh', free: 'fresh', arrears: 'unknown', missing_exit: 'unknown',
    retry: 'stale', owed: 'stale', charging: 'stale', held: 'stale', written_off: 'closed' };
  var sessions = new Tables.Table(document.getElementById('sessions'), [
    column('plate', false, function (row) { return row.plate; }, function (cell, row) { say(cell, row.plate); }),
    column('lot', false, function (row) { return row.lot; }, function (cell, row) {
      twoLines(cell, lotNames[row.lot] || row.lot, row.session);
    }),
    column('entered', true, function (row) { return row.entered_at; }, function (cell, row) { say(cell, clock(row.entered_at)); }),
    column('left', true, function (row) { return row.left_at; }, function (cell, row) { say(cell, clock(row.left_at)); }),
    column('state', false, function (row) { return row.state; }, function (cell, row) {
      pill(cell, MONEY[row.state] || 'closed', word(row.state), '');
    }),
    column('amount', true, function (row) { return row.amount_fen; }, function (cell, row) { say(cell, yuan(row.amount_fen)); })
  ], function (row) { return row.session; });

  var refused = new Tables.Table(document.getElementById('refused'), [
    column('edge', false, function (row) { return row[0]; }, function (cell, row) { say(cell, vocabulary.edges[row[0]] || row[0]); }),
    column('reason', false, function (row) { return row[1]; }, function (cell, row) { say(cell, refusal(row[1])); }),
    column('count', true, function (row) { return row[2]; }, function (cell, row) { say(cell, grouped(row[2])); })
  ], function (row) { return row[0] + '\t' + row[1]; });

  function found(row) {
    var text = [row.id, row.device, row.topic, row.place, row.plate, row.lot, lotNames[row.lot],
      row.name && row.name.zh, row.name && row.name.en].join(' ').toLowerCase();
    return text.indexOf(chosen.find) >= 0;
  }

  function tile(box, at, title, figure, more, parts) {
    var made = piece(box, at, 'div', 'tile');
    say(piece(made, 0, 'span'), title);
    say(piece(made, 1, 'b'), figure);
    say(piece(made, 2, 'small'), more);
    var strip = piece(made, 3, 'span', 'strip');
    (parts || []).forEach(function (part, i) { piece(strip, i, 'i', part[0]).style.flexGrow = part[1]; });
  }

  function tiles(here, shown) {
    var box = document.getElementById('tiles');
    var counts = { fresh: 0, stale: 0, unverified: 0, unknown: 0, closed: 0 }, free = 0, spaces = 0;
    here.forEach(function (row) {
      counts[standing(row)] += 1;
      if (row.free !== null && row.openness === 'open') { free += row.free; spaces += row.capacity; }
    });
    tile(box, 0, word('tile_free'), grouped(free), word('of') + ' ' + grouped(spaces),
      [['used', spaces - free], ['room', free]]);
    tile(box, 1, word('tile_lots'), counts.fresh + ' ' + word('fresh'),
      ['stale', 'unverified', 'unknown', 'closed'].filter(function (key) { return counts[key]; })
        .map(function (key) { return counts[key] + ' ' + word(key); }).join(' · ') || '\u00a0',
      Object.keys(counts).map(function (key) { return [key, counts[key]]; }));
    var lit = shown.filter(function (row) { return row.delivery === 'shown'; }).length;
    tile(box, 2, word('tile_signs'), String(lit), word('of') + ' ' + shown.length,
      [['fresh', lit], ['unknown', shown.length - lit]]);
    var devices = state.devices;
    tile(box, 3, word('tile_devices'), devices ? grouped(devices.healthy) : '--', devices ?
      word('of') + ' ' + grouped(devices.total) + ' · ' + devices.unknown.length + ' ' + word('listed_unknown') : word('away'),
      devices ? [['fresh', devices.healthy], ['unknown', devices.total - devices.healthy]] : []);
    var counted = state.sessions ? state.sessions.counted : {};
    var due = ['exited', 'priced', 'owed', 'charging', 'retry', 'arrears'].reduce(function (sum, key) {
      return sum + (counted[key] || 0);
    }, 0);
    tile(box, 4, word('tile_inside'), state.sessions ? grouped((counted.entered || 0) + (counted.held || 0)) : '--',
      state.sessions ? (counted.paid || 0) + ' ' + word('paid') : word('away'));
    tile(box, 5, word('tile_open'), state.sessions ? grouped(due) : '--', (counted.arrears || 0) + ' ' + word('in_arrears'));
    var sum = state.refused.reduce(function (all, row) { return all + row[2]; }, 0), now = performance.now();
    var rate = refusedBefore && now > refusedBefore[1] ? (sum - refusedBefore[0]) / (now - refusedBefore[1]) * 60000 : 0;
    if (!refusedBefore || now - refusedBefore[1] > 60000) refusedBefore = [sum, now];
    tile(box, 6, word('tile_refused'), String(Math.round(rate)), grouped(sum) + ' ' + word('since_start'));
  }

  function parts() {
    var list = document.getElementById('parts'), at = 0;
    Object.keys(state.parts).forEach(function (key) {
      var known = state.parts[key], item = piece(list, at++, 'li', known.ready ? 'up' : 'down');
      var detail = part(known.detail) || word(known.ready ? 'ready' : 'not_ready');
      say(item, part(key) + (known.ready ? '' : ' · ' + detail));
      item.title = detail;
    });
    while (list.children.length > at) list.removeChild(list.lastChild);
  }

  function show() {
    if (!state) return;
    function here(row) { return !chosen.site || row.site === chosen.site; }
    state.lots.forEach(function (row) { lotNames[row.id] = name(row); });
    var sited = state.lots.filter(here), signed = state.signs.filter(here);
    tiles(sited, signed);
    parts();
    var listed = sited.filter(function (row) {
      return (!chosen.quality || standing(row) === chosen.quality) && found(row);
    });
    var devices = state.devices || { unknown: [], known: [] };
    var tables = { lots: [lots, listed], signs: [signs, signed.filter(found)],
      unknown: [unknown, devices.unknown.filter(found)], known: [known, devices.known.filter(found)],
      sessions: [sessions, state.sessions ? state.sessions.newest.filter(found) : []],
      refused: [refused, state.refused] };
    Object.keys(tables).forEach(function (key) {
      tables[key][0].show(tables[key][1]);
      say(document.getElementById(key + '-count'), tables[key][1].length ? grouped(tables[key][1].length) : word('nothing'));
    });
    if (state.devices && state.devices.total) {
      say(document.getElementById('known-count'), grouped(state.devices.total) + ' · ' +
        grouped(state.devices.total - state.devices.healthy) + ' ' + word('troubled'));
    }
    say(document.getElementById('clock'), timeOfDay(state.at, {}));
    say(document.getElementById('speed'), state.speed === 1 ? '' : state.speed + ' ' + word('times'));
  }

  function ask() {
    var request = new XMLHttpRequest();
    request.open('GET', '/ops/state.json');
    request.timeout = 10000;
    request.onload = function () {
      lost.hidden = request.status === 200;
      if (request.status === 200) { state = JSON.parse(request.responseText); show(); }
      setTimeout(ask, 2000);
    };
    request.onerror = request.ontimeout = function () { lost.hidden = false; setTimeout(ask, 4000); };
    request.send();
  }

  var site = document.getElementById('site');
  Array.prototype.forEach.call(site.options, function (option) { siteNames[option.value] = option.textContent; });
  site.addEventListener('change', function () { chosen.site = site.value; show(); });
  document.getElementById('find').addEventListener('input', function (event) {
    chosen.find = event.target.value.trim().toLowerCase();
    show();
  });
  document.getElementById('qualities').addEventListener('click', function (event) {
    if (event.target.tagName !== 'BUTTON') return;
    chosen.quality = event.target.value;
    Array.prototype.forEach.call(event.currentTarget.children, function (button) {
      button.className = button === event.target ? 'on' : '';
    });
    show();
  });
  lots.sortBy(4);
  ask();
})();
