// Counts on from the seconds that the server sent, by a clock that never jumps; the reader's own clock is not asked.
for (const place of document.querySelectorAll("time[data-remaining-s]")) {
  const forms = JSON.parse(place.dataset.forms);
  const began = performance.now();
  const say = (unit, count) => forms[unit][count === 1 ? 0 : 1].replace(count === 1 ? "1" : "2", count);
  const show = () => {
    const passed = Math.floor((performance.now() - began) / 1000);
    const minutes = Math.floor(Math.max(0, Number(place.dataset.remainingS) - passed) / 60);
    const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
    const parts = days
      ? [["day", days], ["hour", hours]]
      : hours ? [["hour", hours], ["minute", rest]] : [["minute", rest]];
    place.textContent = parts.filter(([, count], at) => at === 0 || count).map(([unit, count]) => say(unit, count)).join(" ");
  };
  setInterval(show, 10000);
}
