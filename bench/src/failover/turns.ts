/** Whose turn it is: what needs the machine for itself goes one at a time, in the order of asking. */
export class Turns {
  private last: Promise<void> = Promise.resolve();

  /** Resolves once the machine is free, with what gives it back; calling that twice does no harm. */
  async take(): Promise<() => void> {
    const before = this.last;
    let giveBack = () => {};
    this.last = new Promise<void>((resolve) => {
      giveBack = resolve;
    });
    await before;
    return giveBack;
  }
}
