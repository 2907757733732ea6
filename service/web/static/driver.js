/* Ages go on counting, and the numbers come anew every 15 seconds while the page is looked at. */
(function () {
  'use strict';
  var body = document.body;
  var live = document.getElementById('live');
  var lost = document.getElementById('lost');
  var speed = Number(body.getAttribute('data-speed')) || 1;
  var zh = body.getAttribute('data-lang') === 'zh';
  var timing = window.performance && performance.timing;
  // From the asking, not the arriving: what is shown must never look younger than it is.
  var arrived = (timing && timing.requestStart) || Date.now();
  var touched = 0;

  function said(s) {
    if (s < 60) return zh ? s + ' 秒前' : s + ' s ago';
    if (s < 3600) return zh ? Math.floor(s / 60) + ' 分钟前' : Math.floor(s / 60) + ' min ago';
    if (s < 172800) return zh ? Math.floor(s / 3600) + ' 小时前' : Math.floor(s / 3600) + ' h ago';
    return zh ? Math.floor(s / 86400) + ' 天前' : Math.floor(s / 86400) + ' days ago';
  }

  function age() {
    var more = Math.max(0, Date.now() - arrived) / 1000 * speed;
    var times = live.querySelectorAll('time[data-age]');
    for (var i = 0; i < times.length; i++) {
      times[i].textContent = said(Math.ceil(Number(times[i].getAttribute('data-age')) + more));
    }
  }

  function renew() {
    // Nothing may move under a thumb that is about to tap.
    if (document.hidden || Date.now() - touched < 3000) return;
    var asked = Date.now();
    var request = new XMLHttpRequest();
    request.open('GET', body.getAttribute('data-live'));
    request.timeout = 10000;
    request.onload = function () {
      if (request.status !== 200) { lost.hidden = false; return; }
      lost.hidden = true;
      if (Date.now() - touched < 1500) return;
      live.innerHTML = request.responseText;
      arrived = asked;
      age();
    };
    request.onerror = request.ontimeout = function () { lost.hidden = false; };
    request.send();
  }

  document.addEventListener('touchstart', function () { touched = Date.now(); }, false);
  document.addEventListener('visibilitychange', function () { if (!document.hidden) renew(); }, false);
  setInterval(age, 1000);
  setInterval(renew, 15000);
})();
