package dev.heddle.simulated.nccl;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * A connection between a communicator's rank and the {@link Hub}. What is sent waits in a queue, so
 * that a process that does not read holds up nobody.
 */
final class Wire {
  /** First word of a message, in either direction. */
  enum Word {
    /** To the hub: clique, name, size, rank, GPU. Back: none, when all have come. */
    JOIN,
    /** Back: status and text. */
    REFUSED,
    /** To the hub: color, key. Back: clique, rank and size, or clique -1. */
    SPLIT,
    /** To the hub: kind and peer of a message. Back, when both ends have come: the same. */
    CONNECT,
    /** To the hub: number, call, bytes that it reads. */
    ARRIVE,
    /** Back: number of the arrival, bytes that it is to write. */
    DONE,
    /** Back: number of the arrival, why it can never be done. */
    FAULT,
    /** Back: a lane of this rank's calls, where others wait for the next one. */
    WANTED,
    /** Back: a rank that has gone without a word. */
    GONE,
    /** To the hub: this rank has no more to do with the communicator. */
    BYE
  }

  /** Writes the rest of a message. */
  @FunctionalInterface
  interface Content {
    void write(DataOutputStream out) throws IOException;
  }

  private static final byte[] END = {};

  final DataInputStream in;
  private final Socket socket;
  private final BlockingQueue<byte[]> outgoing = new LinkedBlockingQueue<>();

  Wire(Socket socket, String name) throws IOException {
    this.socket = socket;
    socket.setTcpNoDelay(true);
    this.in = new DataInputStream(new BufferedInputStream(socket.getInputStream()));
    OutputStream out = socket.getOutputStream();
    daemon(name + "-out", () -> write(out));
  }

  static void daemon(String name, Runnable body) {
    Thread.ofPlatform().name(name).daemon().start(body);
  }

  private void write(OutputStream out) {
    try {
      for (byte[] next = outgoing.take(); next != END; next = outgoing.take()) {
        out.write(next);
      }
    } catch (IOException gone) {
      // Who reads at this end notices as well.
    } catch (InterruptedException ended) {
      Thread.currentThread().interrupt();
    }
    close();
  }

  /** Sends a message, later if need be. */
  void send(Word word, Content content) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (DataOutputStream out = new DataOutputStream(bytes)) {
      out.writeByte(word.ordinal());
      content.write(out);
    } catch (IOException impossible) {
      throw new IllegalStateException(impossible);
    }
    outgoing.add(bytes.toByteArray());
  }

  /** The first word of the next message. */
  Word next() throws IOException {
    return Word.values()[in.readByte()];
  }

  /** Closes when all has been sent. */
  void end() {
    outgoing.add(END);
  }

  void close() {
    try {
      socket.close();
    } catch (IOException closedOtherwise) {
      // Nothing is left to do with it.
    }
  }

  static void writeBytes(DataOutputStream out, byte[] bytes) throws IOException {
    out.writeInt(bytes.length);
    out.write(bytes);
  }

  static byte[] readBytes(DataInputStream in) throws IOException {
    byte[] bytes = new byte[in.readInt()];
    in.readFully(bytes);
    return bytes;
  }
}
