// The microphone's sound, resampled to 24 kHz and sent as 16-bit samples, 40 ms at a time.
class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.step = sampleRate / 24000;
    this.at = 0;
    this.last = 0;
    this.block = new Int16Array(960);
    this.filled = 0;
  }

  process([[samples]]) {
    if (!samples) return true;
    // Linear interpolation between neighbours; browsers have no resampler here.
    while (this.at < samples.length) {
      const index = Math.floor(this.at);
      const before = index === 0 ? this.last : samples[index - 1];
      const value = before + (samples[index] - before) * (this.at - index);
      this.block[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(value * 32767)));
      if (this.filled === this.block.length) {
        this.port.postMessage(this.block.slice());
        this.filled = 0;
      }
      this.at += this.step;
    }
    this.at -= samples.length;
    this.last = samples[samples.length - 1];
    return true;
  }
}

registerProcessor("microphone", Microphone);
