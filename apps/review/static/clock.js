// The reviewing pace. Only the time between decisions counts, and of each pause at most this.
const PAUSE_S = 60;

export class Clock {
  #last = performance.now();
  #seconds = 0;
  #decided = 0;

  tick(decisions) {
    const now = performance.now();
    this.#seconds += Math.min((now - this.#last) / 1000, PAUSE_S);
    this.#last = now;
    this.#decided += decisions;
  }

  // "12 min · 31 a minute · 18 min left"; empty until there is a pace.
  summary(left) {
    if (this.#decided < 5) return "";
    const perMinute = (60 * this.#decided) / Math.max(this.#seconds, 1);
    return `${minutes(this.#seconds / 60)} · ${Math.round(perMinute)} a minute · ${minutes(left / perMinute)} left`;
  }
}

function minutes(number) {
  if (number >= 90) return `${(number / 60).toFixed(1)} h`;
  return number < 1 ? "under 1 min" : `${Math.round(number)} min`;
}
