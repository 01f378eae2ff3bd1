package dev.heddle.simulated.nccl;

import dev.heddle.bindings.nccl.Nccl;
import dev.heddle.simulated.driver.SimulatedGpus;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * A communicator's ranks as the one of them sees them that is here; the others may be in other
 * processes, and all meet at a {@link Hub}.
 *
 * <p>When another rank waits for this one's call, the hub says so, and this rank's GPU is run as
 * far as it goes: a real one would have got there by itself. A rank that goes without a word, or a
 * hub that does, becomes an asynchronous error, {@code ncclRemoteError}.
 */
final class RemoteClique extends Clique {
  static final Charset TEXT = StandardCharsets.UTF_8;

  /**
   * Those of this process that another rank waits for. What one of them is behind on its GPU may be
   * work of another one, so that news of any can let all go on. Guarded by the simulated GPUs.
   */
  private static final Set<RemoteClique> WAITED_FOR = new LinkedHashSet<>();

  private final int port;
  private final long number;
  private @Nullable Wire wire;
  private @Nullable Communicator me;

  // Guarded by the simulated GPUs.
  private final Map<Long, Arrival> underWay = new HashMap<>();
  private final Set<Integer> wanted = new HashSet<>();
  private final Set<Long> connected = new HashSet<>();
  private final Set<Long> connecting = new HashSet<>();
  private long arrivals;
  private boolean joined;
  private @Nullable NcclError refused;
  private long @Nullable [] part;
  private boolean left;

  /**
   * The clique of that number.
   *
   * @param port where its hub is, on this host
   */
  RemoteClique(int port, long number, String name, int size) {
    super(name, size);
    this.port = port;
    this.number = number;
  }

  /** Which of a rank's calls come in one order: collectives, and messages of a kind and peer. */
  static int lane(Call call) {
    return switch (call.kind()) {
      case SEND -> 1 + 2 * call.peer();
      case RECEIVE -> 2 + 2 * call.peer();
      default -> 0;
    };
  }

  private Wire wire() {
    Wire opened = wire;
    if (opened == null) {
      throw NcclError.usage(this + " is used before it is joined");
    }
    return opened;
  }

  // ---- meeting

  @Override
  Communicator join(int rank, int device) {
    Communicator made = new Communicator(this, rank, device);
    me = made;
    try {
      Wire opened = new Wire(new Socket(InetAddress.getLoopbackAddress(), port), "nccl-wire");
      wire = opened;
      Wire.daemon("nccl-wire-in", () -> read(opened, made));
    } catch (IOException unreachable) {
      throw new NcclError(
          Nccl.ncclSystemError(), "the process that made the identifier is gone: " + unreachable);
    }
    wire()
        .send(
            Wire.Word.JOIN,
            out -> {
              out.writeLong(number);
              out.writeUTF(name);
              out.writeInt(size);
              out.writeInt(rank);
              out.writeInt(device);
            });
    String what = "meeting of " + made;
    boolean came = SimulatedGpus.await(what, () -> joined || refused != null || isLost());
    NcclError refusal = refused;
    if (refusal != null || !came || isLost()) {
      leave(made);
      throw refusal != null
          ? refusal
          : new NcclError(Nccl.ncclSystemError(), what + " waits for ranks that do not come");
    }
    return made;
  }

  private boolean isLost() {
    Communicator own = me;
    return own != null && own.asynchronousError != 0;
  }

  @Override
  @Nullable Communicator split(Communicator communicator, int color, int key, String partName) {
    part = null;
    wire()
        .send(
            Wire.Word.SPLIT,
            out -> {
              out.writeInt(color);
              out.writeInt(key);
            });
    boolean came =
        SimulatedGpus.await("ncclCommSplit of " + communicator, () -> part != null || isLost());
    long[] own = part;
    if (!came || own == null) {
      throw new NcclError(Nccl.ncclSystemError(), "ncclCommSplit waits for ranks that do not come");
    }
    return own[0] < 0
        ? null
        : new RemoteClique(port, own[0], partName, (int) own[2])
            .join((int) own[1], communicator.device);
  }

  @Override
  BooleanSupplier connect(Communicator communicator, Call call) {
    long lane = lane(call);
    if (connecting.add(lane)) {
      wire()
          .send(
              Wire.Word.CONNECT,
              out -> {
                out.writeInt(call.kind().ordinal());
                out.writeInt(call.peer());
              });
    }
    return () -> connected.contains(lane);
  }

  // ---- coming

  @Override
  void arrive(Arrival arrival) {
    Call call = arrival.call;
    wanted.remove(lane(call));
    if (wanted.isEmpty()) {
      WAITED_FOR.remove(this);
    }
    boolean reads =
        call.kind() != Call.Kind.RECEIVE
            && (call.kind() != Call.Kind.BROADCAST || call.peer() == arrival.communicator.rank);
    byte[] bytes = new byte[reads ? Math.toIntExact(call.bytesRead(size)) : 0];
    if (bytes.length > 0) {
      MemorySegment.copy(
          arrival.read(0, bytes.length), 0, MemorySegment.ofArray(bytes), 0, bytes.length);
    }
    long own = arrivals++;
    underWay.put(own, arrival);
    wire()
        .send(
            Wire.Word.ARRIVE,
            out -> {
              out.writeLong(own);
              Hub.writeCall(out, call);
              Wire.writeBytes(out, bytes);
            });
  }

  @Override
  void drivePartners(Arrival arrival) {
    // The hub tells them.
  }

  @Override
  void launched(Communicator communicator) {
    runWaitedFor();
  }

  /** Runs GPUs as far as they go while ranks of other processes wait for them. */
  private static void runWaitedFor() {
    for (RemoteClique each : List.copyOf(WAITED_FOR)) {
      Communicator own = each.me;
      if (own != null) {
        SimulatedGpus.driveAll(own.device, each.wanted::isEmpty);
      }
    }
  }

  @Override
  void leave(Communicator gone) {
    left = true;
    WAITED_FOR.remove(this);
    underWay.clear();
    Wire opened = wire;
    if (opened != null) {
      opened.send(Wire.Word.BYE, out -> {});
      opened.end();
    }
  }

  // ---- what comes

  private void read(Wire from, Communicator communicator) {
    try {
      while (true) {
        Runnable news = news(from, communicator);
        told(news);
      }
    } catch (IOException lost) {
      told(() -> fail(communicator, "the process that made the identifier is gone"));
    }
  }

  private void told(Runnable news) {
    try {
      SimulatedGpus.exclusively(
          () -> {
            if (!left) {
              news.run();
              runWaitedFor();
            }
            SimulatedGpus.wake();
            return null;
          });
    } catch (RuntimeException uninstalled) {
      // The simulated GPUs are gone, and with them all that news could change.
      System.getLogger("dev.heddle.simulated.nccl")
          .log(System.Logger.Level.DEBUG, "news after the end", uninstalled);
      left = true;
    }
  }

  private Runnable news(Wire from, Communicator communicator) throws IOException {
    return switch (from.next()) {
      case JOIN -> () -> joined = true;
      case REFUSED -> {
        NcclError why = new NcclError(from.in.readInt(), from.in.readUTF());
        yield () -> refused = why;
      }
      case SPLIT -> {
        long[] own = {from.in.readLong(), from.in.readInt(), from.in.readInt()};
        yield () -> part = own;
      }
      case CONNECT -> {
        Call.Kind kind = Call.Kind.values()[from.in.readInt()];
        long lane = lane(new Call(kind, 0, 0, 0, ElementKind.UINT8, null, from.in.readInt()));
        yield () -> connected.add(lane);
      }
      case DONE -> {
        long own = from.in.readLong();
        byte[] bytes = Wire.readBytes(from.in);
        yield () -> {
          Arrival arrival = underWay.remove(own);
          if (arrival != null) {
            arrival.delivery = bytes.length == 0 ? null : bytes;
            arrival.done = true;
          }
        };
      }
      case FAULT -> {
        long own = from.in.readLong();
        String why = new String(Wire.readBytes(from.in), TEXT);
        yield () -> {
          Arrival arrival = underWay.remove(own);
          if (arrival != null) {
            arrival.fault = why;
          }
        };
      }
      case WANTED -> {
        int lane = from.in.readInt();
        yield () -> {
          wanted.add(lane);
          WAITED_FOR.add(this);
        };
      }
      case GONE -> {
        int rank = from.in.readInt();
        yield () -> fail(communicator, "the process of rank " + rank + " of " + this + " is gone");
      }
      default -> throw new IOException("the hub said what only ranks say");
    };
  }

  private static void fail(Communicator communicator, String why) {
    communicator.asynchronousError = Nccl.ncclRemoteError();
    NcclFunctions.lastError(why);
  }
}
