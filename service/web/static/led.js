/* An LED matrix on a canvas: lines of arrow, name and number, one dot per lamp.

   Led.draw(canvas, panel): panel = {level, rows, columns, dark, lines: [{arrow, name, value, state}]}
   A row is 16 lamps high, as the cards of real panels are; a digit is 8 lamps wide. */
var Led = (function () {
  'use strict';
  var ROW = 16, GAP = 3, EDGE = 3;
  var COLOURS = {
    free: [60, 255, 110], few: [255, 176, 32], full: [255, 64, 48], closed: [255, 64, 48],
    unknown: [255, 150, 40], name: [255, 186, 40], arrow: [60, 255, 110]
  };
  // Seven lamps by thirteen, two lamps a stroke: one row is one byte.
  var DIGITS = {
    '0': '3e7f6363636363636363637f3e', '1': '0c1c3c0c0c0c0c0c0c0c0c3f3f',
    '2': '3e7f630303060c183060607f7f', '3': '3e7f6303031e1e030303637f3e',
    '4': '060e1e363666667f7f06060606', '5': '7f7f60607e7f63030303637f3e',
    '6': '1e3e6060607e7f636363637f3e', '7': '7f7f030306060c0c0c18181818',
    '8': '3e7f6363633e3e636363637f3e', '9': '3e7f636363637f3f0303033e3c',
    '-': '0000000000003e3e0000000000'
  };
  var FONT = '"PingFang SC","HarmonyOS Sans SC","Noto Sans SC","Noto Sans CJK SC",' +
    '"Source Han Sans SC","Microsoft YaHei",sans-serif';
  var rasters = {};

  function raster(w, h) { return { w: w, h: h, on: new Float32Array(w * h) }; }

  /* Text as lamps, `size` high; squeezed to `most` lamps wide where it is wider. */
  function text(words, size, most) {
    var key = words + '|' + size + '|' + most;
    if (rasters[key]) return rasters[key];
    var fine = 6, canvas = document.createElement('canvas');
    var pen = canvas.getContext('2d', { willReadFrequently: true });
    var font = '500 ' + Math.round(size * fine * 0.98) + 'px ' + FONT;
    pen.font = font;
    var natural = pen.measureText(words).width / fine;
    var w = Math.max(1, Math.min(Math.ceil(natural), most));
    canvas.width = w * fine;
    canvas.height = size * fine;
    pen.font = font;
    pen.textBaseline = 'alphabetic';
    pen.scale(w < natural ? w / natural : 1, 1);
    pen.fillText(words, 0, size * fine * 0.86);
    var data = pen.getImageData(0, 0, canvas.width, canvas.height).data;
    var out = raster(w, size);
    for (var y = 0; y < size; y++) {
      for (var x = 0; x < w; x++) {
        var sum = 0;
        for (var j = 0; j < fine; j++) {
          for (var i = 0; i < fine; i++) {
            sum += data[((y * fine + j) * canvas.width + x * fine + i) * 4 + 3];
          }
        }
        var share = sum / (fine * fine * 255);
        out.on[y * w + x] = Math.max(0, Math.min(1, (share - 0.22) / 0.4));
      }
    }
    return (rasters[key] = out);
  }

  /* Digits from the table above, `scale` lamps a dot; anything else as text. */
  function number(value, scale, most) {
    for (var c = 0; c < value.length; c++) {
      if (!DIGITS[value[c]]) return text(value, ROW * scale, most);
    }
    var w = (value.length * 8 - 1) * scale, out = raster(w, ROW * scale);
    for (c = 0; c < value.length; c++) {
      for (var y = 0; y < 13; y++) {
        var bits = parseInt(DIGITS[value[c]].substr(y * 2, 2), 16);
        for (var x = 0; x < 7; x++) {
          if (bits & (64 >> x)) block(out, (c * 8 + x) * scale, (y + 2) * scale - 1, scale);
        }
      }
    }
    return out;
  }

  function block(out, left, top, size) {
    for (var y = top; y < top + size; y++) {
      for (var x = left; x < left + size; x++) if (y >= 0 && y < out.h) out.on[y * out.w + x] = 1;
    }
  }

  function arrow(way) {
    var out = raster(ROW, ROW);
    for (var a = 0; a < ROW; a++) {
      var half = a < 8 ? a + 0.5 : 2;
      for (var b = 0; b < ROW; b++) {
        if (Math.abs(b - 7.5) > half || a < 1 || a > 14) continue;
        var x = way === 'left' ? a : way === 'right' ? 15 - a : b;
        var y = way === 'left' || way === 'right' ? b : a;
        out.on[y * ROW + x] = 1;
      }
    }
    return out;
  }

  function Board(w, h) {
    this.w = w; this.h = h;
    this.lamps = new ImageData(w, h);
    for (var i = 3; i < w * h * 4; i += 4) this.lamps.data[i] = 0;
  }
  Board.prototype.put = function (glyph, left, top, colour) {
    for (var y = 0; y < glyph.h; y++) {
      for (var x = 0; x < glyph.w; x++) {
        var on = glyph.on[y * glyph.w + x], at = ((top + y) * this.w + left + x) * 4;
        if (on < 0.06 || left + x < 0 || left + x >= this.w || top + y >= this.h) continue;
        this.lamps.data[at] = colour[0];
        this.lamps.data[at + 1] = colour[1];
        this.lamps.data[at + 2] = colour[2];
        this.lamps.data[at + 3] = Math.round(70 + 185 * on);
      }
    }
  };

  function single(panel) { return panel.level === 3 && panel.lines.length <= 1; }

  /* How many lamps wide a panel is at least. */
  function least(panel) { return (single(panel) ? 64 : panel.columns * 8) + 2 * EDGE; }

  function compose(panel, w) {
    if (single(panel)) return composeOne(panel, w);
    var board = new Board(w, panel.rows * (ROW + GAP) - GAP + 2 * EDGE);
    panel.lines.slice(0, panel.rows).forEach(function (line, at) {
      var top = EDGE + at * (ROW + GAP), left = EDGE;
      var state = panel.dark ? 'unknown' : line.state;
      var value = number(panel.dark ? '--' : line.value, 1, 40);
      var right = w - EDGE - value.w;
      if (line.arrow) {
        board.put(arrow(line.arrow), left, top, COLOURS.arrow);
        left += ROW + 4;
      }
      board.put(text(line.name, ROW, w - EDGE - Math.max(value.w, 31) - 5 - left), left, top, COLOURS.name);
      board.put(value, right, top, COLOURS[state] || COLOURS.unknown);
    });
    return board;
  }

  function composeOne(panel, w) {
    var line = panel.lines[0] || { value: '--', state: 'unknown' };
    var board = new Board(w, ROW * 2 + 2 * EDGE);
    var value = number(panel.dark ? '--' : line.value, 2, 64);
    var state = panel.dark ? 'unknown' : line.state;
    board.put(value, Math.round((board.w - value.w) / 2), EDGE, COLOURS[state] || COLOURS.unknown);
    return board;
  }

  var masks = {};
  /* One cell's lamp, as a repeating pattern; `fill` is its colour. */
  function lamp(pen, cell, fill) {
    var key = cell + fill;
    if (!masks[key]) {
      var tile = document.createElement('canvas');
      tile.width = tile.height = cell;
      var brush = tile.getContext('2d');
      brush.fillStyle = fill;
      brush.beginPath();
      brush.arc(cell / 2, cell / 2, Math.max(0.5, cell * 0.42), 0, 7);
      brush.fill();
      masks[key] = tile;
    }
    return pen.createPattern(masks[key], 'repeat');
  }

  function draw(canvas, panel) {
    // Whole device pixels a lamp, or the grid shimmers; the rest of the room is more lamps.
    var ratio = window.devicePixelRatio || 1;
    var room = canvas.parentNode.clientWidth * ratio;
    var cell = Math.max(1, Math.floor(room / (least(panel) * 0.88)));
    var board = compose(panel, Math.floor(room / cell));
    var w = board.w * cell, h = board.h * cell;
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = w / ratio + 'px';
    canvas.style.height = h / ratio + 'px';
    var pen = canvas.getContext('2d');
    pen.fillStyle = '#060707';
    pen.fillRect(0, 0, w, h);
    pen.fillStyle = lamp(pen, cell, '#17191a');
    pen.fillRect(0, 0, w, h);

    var small = document.createElement('canvas');
    small.width = board.w;
    small.height = board.h;
    small.getContext('2d').putImageData(board.lamps, 0, 0);
    var lit = document.createElement('canvas');
    lit.width = w;
    lit.height = h;
    var brush = lit.getContext('2d');
    brush.imageSmoothingEnabled = false;
    brush.drawImage(small, 0, 0, w, h);
    brush.globalCompositeOperation = 'destination-in';
    brush.fillStyle = lamp(brush, cell, '#fff');
    brush.fillRect(0, 0, w, h);
    pen.drawImage(lit, 0, 0);
    // Light spills a little over its neighbours.
    pen.globalCompositeOperation = 'lighter';
    pen.globalAlpha = 0.28;
    pen.imageSmoothingEnabled = true;
    pen.drawImage(small, 0, 0, w, h);
    pen.globalAlpha = 1;
    pen.globalCompositeOperation = 'source-over';
  }

  return { draw: draw };
})();
