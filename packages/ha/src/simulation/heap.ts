/** What is due, in order of time; what is due at the same time, in the order it was asked for. */
interface Due {
  at: number;
  order: number;
  run(): void;
}

export class Heap {
  readonly #items: Due[] = [];
  #order = 0;

  push(at: number, run: () => void): void {
    const item: Due = { at, order: this.#order++, run };
    const items = this.#items;
    let i = items.length;
    items.push(item);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(item, items[parent]!)) break;
      items[i] = items[parent]!;
      i = parent;
    }
    items[i] = item;
  }

  /** When the next is due; infinity when nothing is. */
  get next(): number {
    return this.#items.length === 0 ? Number.POSITIVE_INFINITY : this.#items[0]!.at;
  }

  pop(): Due {
    const items = this.#items;
    const first = items[0]!;
    const last = items.pop()!;
    const { length } = items;
    if (length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= length) break;
      if (child + 1 < length && before(items[child + 1]!, items[child]!)) child++;
      if (!before(items[child]!, last)) break;
      items[i] = items[child]!;
      i = child;
    }
    items[i] = last;
    return first;
  }
}

function before(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
