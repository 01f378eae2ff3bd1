package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.support.Failure;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/**
 * What processes tell each other beside MPI: how their programs end, that a group has failed, and
 * what they were last seen doing. {@code run} counts the runs of a process, {@code rank} is the
 * sender's number in the world.
 */
sealed interface ControlMessage {
  /** Which of the process's runs it is about; -1 for all. */
  int run();

  /**
   * A rank's program threw.
   *
   * @param kind what class of communication failure it was, or "" for anything else
   * @param text what was thrown, as {@link Throwable#toString} says it
   * @param trace the stack trace, for people
   * @param consequence whether it threw only because it was stopped
   */
  record Threw(int run, int rank, String kind, String text, String trace, boolean consequence)
      implements ControlMessage {}

  /**
   * A rank's program has ended, one way or the other.
   *
   * @param parcels how many parcels it has sent to each rank
   * @param whereabouts what it did last
   */
  record Ended(int run, int rank, long[] parcels, String whereabouts) implements ControlMessage {}

  /**
   * A rank has everything that was sent to it.
   *
   * @param left what nobody waited for, in words; empty for nothing
   */
  record Finished(int run, int rank, String left) implements ControlMessage {}

  /** A group can communicate no more; the first such message about a group counts. */
  record GroupFailed(int run, int rank, long group, Failure.Kind kind, String text)
      implements ControlMessage {}

  /**
   * Asks a rank for a call, and for its whereabouts.
   *
   * @param question which question of the asker's this is
   * @param number a collective of the group; -1 for none
   */
  record Question(int run, int rank, int question, long group, long number)
      implements ControlMessage {}

  /**
   * The answer.
   *
   * @param call what the rank called as that collective; empty if it has not come to it
   * @param whereabouts where the rank is
   */
  record Answer(int run, int rank, int question, String call, String whereabouts)
      implements ControlMessage {}

  /** A rank's process has gone without a word. */
  record Lost(int rank) implements ControlMessage {
    @Override
    public int run() {
      return -1;
    }
  }

  /** The bytes of a message. */
  static byte[] encode(ControlMessage message) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (DataOutputStream out = new DataOutputStream(bytes)) {
      switch (message) {
        case Threw m -> {
          begin(out, 'T', m.run, m.rank);
          text(out, m.kind);
          text(out, m.text);
          text(out, m.trace);
          out.writeBoolean(m.consequence);
        }
        case Ended m -> {
          begin(out, 'E', m.run, m.rank);
          out.writeInt(m.parcels.length);
          for (long count : m.parcels) {
            out.writeLong(count);
          }
          text(out, m.whereabouts);
        }
        case Finished m -> {
          begin(out, 'F', m.run, m.rank);
          text(out, m.left);
        }
        case GroupFailed m -> {
          begin(out, 'G', m.run, m.rank);
          out.writeLong(m.group);
          text(out, m.kind.name());
          text(out, m.text);
        }
        case Question m -> {
          begin(out, 'Q', m.run, m.rank);
          out.writeInt(m.question);
          out.writeLong(m.group);
          out.writeLong(m.number);
        }
        case Answer m -> {
          begin(out, 'A', m.run, m.rank);
          out.writeInt(m.question);
          text(out, m.call);
          text(out, m.whereabouts);
        }
        case Lost m -> begin(out, 'L', -1, m.rank);
      }
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible);
    }
    return bytes.toByteArray();
  }

  /** The message of which these are the bytes. */
  static ControlMessage decode(byte[] bytes) throws IOException {
    try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(bytes))) {
      char type = in.readChar();
      int run = in.readInt();
      int rank = in.readInt();
      return switch (type) {
        case 'T' -> new Threw(run, rank, text(in), text(in), text(in), in.readBoolean());
        case 'E' -> {
          long[] parcels = new long[in.readInt()];
          for (int i = 0; i < parcels.length; i++) {
            parcels[i] = in.readLong();
          }
          yield new Ended(run, rank, parcels, text(in));
        }
        case 'F' -> new Finished(run, rank, text(in));
        case 'G' ->
            new GroupFailed(run, rank, in.readLong(), Failure.Kind.valueOf(text(in)), text(in));
        case 'Q' -> new Question(run, rank, in.readInt(), in.readLong(), in.readLong());
        case 'A' -> new Answer(run, rank, in.readInt(), text(in), text(in));
        case 'L' -> new Lost(rank);
        default ->
            throw new IOException(
                String.format(Locale.ROOT, "a control message of unknown type %d", (int) type));
      };
    }
  }

  private static void begin(DataOutputStream out, char type, int run, int rank) throws IOException {
    out.writeChar(type);
    out.writeInt(run);
    out.writeInt(rank);
  }

  private static void text(DataOutputStream out, String text) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    out.writeInt(bytes.length);
    out.write(bytes);
  }

  private static String text(DataInputStream in) throws IOException {
    byte[] bytes = new byte[in.readInt()];
    in.readFully(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }
}
