/* Tables that live: rows are kept by key, only what changed is written, a click on a head sorts.

   Everything shown is set as text, never as HTML: names and topics come from outside. */
var Tables = (function () {
  'use strict';

  function element(name, className, text) {
    var made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  /* columns: [{key, title, number, sort(row), draw(cell, row)}]; keyOf(row) names a row for good;
     detail(row), where given, draws what a click on the row opens. */
  function Table(table, columns, keyOf, detail) {
    this.columns = columns;
    this.keyOf = keyOf;
    this.detail = detail;
    this.rows = {};
    this.opened = {};
    this.sorting = null;
    this.downwards = false;
    this.latest = [];
    this.body = element('tbody');
    this.heads = [];
    var head = element('thead'), line = element('tr'), self = this;
    columns.forEach(function (column, at) {
      var cell = element('th', column.number ? 'number' : '');
      cell.scope = 'col';
      var button = element('button', '', column.title);
      button.type = 'button';
      button.addEventListener('click', function () { self.sortBy(at); });
      cell.appendChild(button);
      line.appendChild(cell);
      self.heads.push(cell);
    });
    head.appendChild(line);
    table.appendChild(head);
    table.appendChild(this.body);
  }

  Table.prototype.sortBy = function (at) {
    this.downwards = this.sorting === at ? !this.downwards : Boolean(this.columns[at].number);
    this.sorting = at;
    var self = this;
    this.heads.forEach(function (cell, i) {
      if (i === at) cell.setAttribute('aria-sort', self.downwards ? 'descending' : 'ascending');
      else cell.removeAttribute('aria-sort');
    });
    this.show(this.latest);
  };

  Table.prototype.ordered = function (rows) {
    if (this.sorting === null) return rows;
    var value = this.columns[this.sorting].sort, sign = this.downwards ? -1 : 1;
    return rows.slice().sort(function (one, other) {
      var a = value(one), b = value(other);
      // What is not known stands last, whichever way the rest is sorted.
      if (a === null || b === null) return (a === null ? 1 : 0) - (b === null ? 1 : 0);
      if (typeof a === 'string') return sign * a.localeCompare(b, 'zh-CN');
      return sign * (a - b);
    });
  };

  Table.prototype.show = function (rows) {
    this.latest = rows;
    var self = this, kept = {}, at = 0;
    this.ordered(rows).forEach(function (row) {
      var key = self.keyOf(row);
      if (kept[key]) return;
      var line = kept[key] = self.rows[key] || self.line(key);
      self.fill(line, row);
      if (self.body.children[at] !== line) self.body.insertBefore(line, self.body.children[at] || null);
      at += 1;
      if (line.more) {
        if (self.body.children[at] !== line.more) {
          self.body.insertBefore(line.more, self.body.children[at] || null);
        }
        at += 1;
      }
    });
    while (this.body.children.length > at) this.body.removeChild(this.body.lastChild);
    this.rows = kept;
  };

  Table.prototype.line = function (key) {
    var line = element('tr'), self = this;
    this.columns.forEach(function (column) {
      line.appendChild(element('td', column.number ? 'number' : column.key));
    });
    if (this.detail) {
      line.tabIndex = 0;
      line.className = 'opens';
      line.setAttribute('aria-expanded', 'false');
      var toggle = function () {
        self.opened[key] = !self.opened[key];
        self.show(self.latest);
      };
      line.addEventListener('click', toggle);
      line.addEventListener('keydown', function (event) {
        if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); toggle(); }
      });
    }
    return line;
  };

  Table.prototype.fill = function (line, row) {
    for (var i = 0; i < this.columns.length; i++) this.columns[i].draw(line.children[i], row);
    if (!this.detail) return;
    var open = Boolean(this.opened[this.keyOf(row)]);
    line.setAttribute('aria-expanded', String(open));
    if (!open) {
      if (line.more && line.more.parentNode) line.more.parentNode.removeChild(line.more);
      line.more = null;
      return;
    }
    if (!line.more) {
      line.more = element('tr', 'more');
      line.more.appendChild(element('td'));
      line.more.firstChild.colSpan = this.columns.length;
    }
    this.detail(line.more.firstChild, row);
  };

  /* Set a text only where it differs: a selection or a screen reader is not disturbed. */
  function say(cell, text, className) {
    if (cell.textContent !== text) cell.textContent = text;
    if (className !== undefined && cell.className !== className) cell.className = className;
  }

  /* The n-th child of a cell, made as it is first asked for. */
  function piece(cell, at, name, className) {
    while (cell.children.length <= at) cell.appendChild(element(name || 'span'));
    var made = cell.children[at];
    if (className !== undefined && made.className !== className) made.className = className;
    return made;
  }

  return { Table: Table, element: element, say: say, piece: piece };
})();
