// A conversation over /v1/realtime: the microphone in, the reply out, and what is said on the page.
const RATE = 24000;

export class Talk {
  // `show` takes what is said: {speaker, id, text, cut}, `turn` the figures of a turn, `state` what goes on.
  constructor({ token, show, turn, state, level }) {
    Object.assign(this, { token, show, turn, state, level });
    this.sources = new Set();
    this.playedUntil = 0;
    this.replies = new Map();
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  async connect() {
    if (this.isOpen) return;
    // Made after a press of a button, as browsers want it.
    this.audio ??= new AudioContext();
    await this.audio.resume();
    const protocols = ["realtime"];
    if (this.token()) protocols.push(`openai-insecure-api-key.${this.token()}`);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/v1/realtime?turns=true`, protocols);
    this.socket = socket;
    socket.onmessage = (message) => this.take(JSON.parse(message.data));
    socket.onclose = () => {
      this.stop();
      this.state("The conversation has ended.");
    };
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error("The server did not open a conversation: it may have as many as it can, or the token is wrong."));
    });
  }

  send(event) {
    if (this.isOpen) this.socket.send(JSON.stringify(event));
  }

  async listen() {
    if (!navigator.mediaDevices) throw new Error("This browser gives no microphone to pages without HTTPS; open the page on the machine itself, as localhost.");
    const constraints = { audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 } };
    this.stream = await navigator.mediaDevices.getUserMedia(constraints);
    await this.connect();
    await this.audio.audioWorklet.addModule("microphone.js");
    this.microphone = this.audio.createMediaStreamSource(this.stream);
    this.worklet = new AudioWorkletNode(this.audio, "microphone", { numberOfOutputs: 0 });
    this.worklet.port.onmessage = ({ data }) => {
      let peak = 0;
      for (const sample of data) peak = Math.max(peak, Math.abs(sample));
      this.level(peak / 32768);
      this.send({ type: "input_audio_buffer.append", audio: base64(new Uint8Array(data.buffer)) });
    };
    this.microphone.connect(this.worklet);
    this.state("Listening");
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.microphone?.disconnect();
    this.worklet?.port.close();
    this.stream = this.microphone = this.worklet = undefined;
    this.level(0);
    this.silence();
  }

  async ask(text) {
    await this.connect();
    this.send({ type: "conversation.item.create", item: { type: "message", role: "user", content: [{ type: "input_text", text }] } });
    this.send({ type: "response.create" });
    this.show({ speaker: "user", id: `typed-${Date.now()}`, text });
  }

  take(event) {
    switch (event.type) {
      case "input_audio_buffer.speech_started":
        this.silence();
        this.state("Hearing you");
        break;
      case "input_audio_buffer.speech_stopped":
        this.state("Thinking");
        break;
      case "conversation.item.input_audio_transcription.completed":
        if (event.transcript) this.show({ speaker: "user", id: event.item_id, text: event.transcript });
        else this.state("Listening");
        break;
      case "response.output_audio_transcript.delta": {
        const text = (this.replies.get(event.item_id) ?? "") + event.delta;
        this.replies.set(event.item_id, text);
        this.show({ speaker: "assistant", id: event.item_id, text });
        break;
      }
      case "response.output_audio.delta":
        this.play(event.delta);
        break;
      case "response.done":
        if (event.response.status === "cancelled") {
          const [item] = event.response.output;
          if (item) this.show({ speaker: "assistant", id: item.id, text: this.replies.get(item.id) ?? "", cut: true });
          this.silence();
        }
        this.replies.clear();
        this.state(this.stream ? "Listening" : "");
        break;
      case "nearfield.turn":
        this.turn(event.turn);
        break;
      case "error":
        this.state(event.error.message);
        break;
    }
  }

  play(delta) {
    const bytes = Uint8Array.from(atob(delta), (c) => c.charCodeAt(0));
    const samples = new Int16Array(bytes.buffer);
    if (samples.length === 0) return;
    const buffer = this.audio.createBuffer(1, samples.length, RATE);
    const channel = buffer.getChannelData(0);
    for (let i = 0; i < samples.length; i++) channel[i] = samples[i] / 32768;
    const source = this.audio.createBufferSource();
    source.buffer = buffer;
    source.connect(this.audio.destination);
    this.playedUntil = Math.max(this.playedUntil, this.audio.currentTime + 0.03);
    source.start(this.playedUntil);
    this.playedUntil += buffer.duration;
    this.sources.add(source);
    source.onended = () => this.sources.delete(source);
    this.state("Speaking");
  }

  silence() {
    this.sources.forEach((source) => source.stop());
    this.sources.clear();
    this.playedUntil = 0;
  }
}

function base64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}
