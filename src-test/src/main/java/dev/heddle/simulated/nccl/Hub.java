package dev.heddle.simulated.nccl;

import dev.heddle.bindings.nccl.Nccl;
import java.io.DataOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Where ranks of several processes meet: in the process that made the identifier, which says where
 * it is, as NCCL's does. Ranks send what they read and get what they are to write; between them
 * stands a {@link LocalClique}, so that the same things are compared and computed as in one
 * process. On this host only.
 */
final class Hub implements AutoCloseable {
  private static final long LEAVING_MILLIS = 10_000;
  private static final long FAULT_MILLIS = 5_000;

  /** Where a rank's bytes seem to be, so that calls have addresses. */
  private static final long READ_BASE = 1L << 40;

  private static final long WRITTEN_BASE = 1L << 41;

  private final ServerSocket server;
  private final Map<Long, LocalClique> cliques = new HashMap<>();
  private final Map<LocalClique, List<Member>> members = new HashMap<>();
  private final Map<LocalClique.Split, Map<Integer, Long>> parts = new HashMap<>();
  private final Set<Member> connected = new LinkedHashSet<>();
  private long nextClique;

  Hub() throws IOException {
    server = new ServerSocket();
    server.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    Wire.daemon("nccl-hub", this::accept);
  }

  int port() {
    return server.getLocalPort();
  }

  /** The number of a clique that nobody has joined yet. */
  synchronized long newClique() {
    return nextClique++;
  }

  private void accept() {
    while (true) {
      try {
        Socket socket = server.accept();
        Member member = new Member(new Wire(socket, "nccl-hub"));
        synchronized (this) {
          connected.add(member);
        }
        Wire.daemon("nccl-hub-in", member::read);
      } catch (IOException closed) {
        return;
      }
    }
  }

  /** A rank's bytes of one call. */
  private static final class Pending {
    final Arrival arrival;
    final long number;
    private final byte[] read;
    private byte @Nullable [] written;

    Pending(Communicator communicator, Call call, long number, byte[] read, int size) {
      this.number = number;
      this.read = read;
      Call here =
          new Call(
              call.kind(),
              READ_BASE,
              WRITTEN_BASE,
              call.count(),
              call.type(),
              call.op(),
              call.peer());
      this.arrival =
          new Arrival(
              communicator,
              here,
              (address, bytes, what) -> {
                if (address >= WRITTEN_BASE) {
                  byte[] to = written;
                  if (to == null) {
                    to = new byte[Math.toIntExact(call.bytesWritten(size))];
                    written = to;
                  }
                  return MemorySegment.ofArray(to).asSlice(address - WRITTEN_BASE, bytes);
                }
                return MemorySegment.ofArray(this.read).asSlice(address - READ_BASE, bytes);
              });
    }
  }

  /** A rank of one communicator, at the other end of a wire. Guarded by the hub. */
  private final class Member {
    private final Wire wire;
    private final List<Pending> pending = new ArrayList<>();
    private @Nullable LocalClique clique;
    private @Nullable Communicator communicator;

    Member(Wire wire) {
      this.wire = wire;
    }

    void read() {
      boolean left = false;
      try {
        while (!left) {
          Wire.Word word = wire.next();
          switch (word) {
            case JOIN -> join();
            case SPLIT -> split(wire.in.readInt(), wire.in.readInt());
            case CONNECT -> connect(wire.in.readInt(), wire.in.readInt());
            case ARRIVE -> arrive();
            case BYE -> left = true;
            default -> throw new IOException("the hub was told " + word);
          }
        }
      } catch (IOException gone) {
        // Told to the others below.
      }
      leave(left);
    }

    private void join() throws IOException {
      long number = wire.in.readLong();
      String name = wire.in.readUTF();
      int size = wire.in.readInt();
      int rank = wire.in.readInt();
      int device = wire.in.readInt();
      synchronized (Hub.this) {
        LocalClique joined = cliques.computeIfAbsent(number, key -> new LocalClique(name, size));
        try {
          if (joined.size != size) {
            throw NcclError.argument(
                "a communicator of " + size + " ranks, which another rank makes of " + joined.size);
          }
          communicator = joined.add(rank, device);
        } catch (NcclError refused) {
          wire.send(
              Wire.Word.REFUSED,
              out -> {
                out.writeInt(refused.status());
                out.writeUTF(String.valueOf(refused.getMessage()));
              });
          return;
        }
        clique = joined;
        List<Member> all = members.computeIfAbsent(joined, key -> new ArrayList<>());
        all.add(this);
        if (joined.came == joined.size) {
          all.forEach(member -> member.wire.send(Wire.Word.JOIN, out -> {}));
        }
      }
    }

    private LocalClique clique() throws IOException {
      LocalClique joined = clique;
      if (joined == null) {
        throw new IOException("a call before joining");
      }
      return joined;
    }

    private Communicator communicator() throws IOException {
      Communicator joined = communicator;
      if (joined == null) {
        throw new IOException("a call before joining");
      }
      return joined;
    }

    private void split(int color, int key) throws IOException {
      synchronized (Hub.this) {
        LocalClique whole = clique();
        LocalClique.Split split = whole.comeToSplit(communicator(), color, key);
        if (split.came < whole.size) {
          return;
        }
        Map<Integer, Long> numbers = parts.computeIfAbsent(split, each -> new HashMap<>());
        for (Member member : members.getOrDefault(whole, List.of())) {
          int rank = member.communicator().rank;
          int own = split.colors[rank];
          long number =
              own == Clique.NO_COLOR ? -1 : numbers.computeIfAbsent(own, each -> nextClique++);
          member.wire.send(
              Wire.Word.SPLIT,
              out -> {
                out.writeLong(number);
                out.writeInt(split.rank(rank));
                out.writeInt(split.size(own));
              });
        }
      }
    }

    private void connect(int kind, int peer) throws IOException {
      synchronized (Hub.this) {
        int rank = communicator().rank;
        Call call = message(Call.Kind.values()[kind], peer);
        boolean[] ends = clique().connection(rank, call);
        if (ends[0] && ends[1]) {
          Call.Kind other = call.kind() == Call.Kind.SEND ? Call.Kind.RECEIVE : Call.Kind.SEND;
          for (Member member : members.getOrDefault(clique(), List.of())) {
            if (member == this) {
              member.connected(kind, peer);
            }
            if (member.communicator().rank == peer) {
              member.connected(other.ordinal(), rank);
            }
          }
        }
      }
    }

    private void connected(int kind, int peer) {
      wire.send(
          Wire.Word.CONNECT,
          out -> {
            out.writeInt(kind);
            out.writeInt(peer);
          });
    }

    private void arrive() throws IOException {
      long number = wire.in.readLong();
      Call call = readCall();
      byte[] bytes = Wire.readBytes(wire.in);
      synchronized (Hub.this) {
        LocalClique at = clique();
        Pending came = new Pending(communicator(), call, number, bytes, at.size);
        pending.add(came);
        try {
          at.arrive(came.arrival);
        } catch (RuntimeException broken) {
          came.arrival.fault = "the hub failed in " + came.arrival + ": " + broken;
        }
        List<Member> all = members.getOrDefault(at, List.of());
        all.forEach(Member::answer);
        for (Member waiting : all) {
          waiting.tellWhoIsWanted(at, all);
        }
      }
    }

    /** Tells the ranks that this one waits for, so that lazy GPUs run; told again as long as so. */
    private void tellWhoIsWanted(LocalClique at, List<Member> all) throws IOException {
      for (Pending each : pending) {
        for (Member other : all) {
          if (other != this && at.isMissing(each.arrival, other.communicator().rank)) {
            other.wanted(each.arrival, communicator().rank);
          }
        }
      }
    }

    private Call readCall() throws IOException {
      Call.Kind kind = Call.Kind.values()[wire.in.readInt()];
      long count = wire.in.readLong();
      ElementKind type = ElementKind.values()[wire.in.readInt()];
      int op = wire.in.readInt();
      return new Call(
          kind, 0, 0, count, type, op < 0 ? null : ReductionKind.values()[op], wire.in.readInt());
    }

    /** Sends what has become of calls. */
    private void answer() {
      for (Pending each : List.copyOf(pending)) {
        if (!each.arrival.fault.isEmpty()) {
          pending.remove(each);
          Wire.daemon("nccl-hub-fault", () -> tellFault(each));
        } else if (each.arrival.done) {
          pending.remove(each);
          byte[] written = each.written;
          wire.send(
              Wire.Word.DONE,
              out -> {
                out.writeLong(each.number);
                Wire.writeBytes(out, written == null ? new byte[0] : written);
              });
        }
      }
    }

    /** Tells late: NCCL would hang here, and what a program finds by itself comes first. */
    private void tellFault(Pending faulty) {
      try {
        Thread.sleep(FAULT_MILLIS);
      } catch (InterruptedException ended) {
        Thread.currentThread().interrupt();
      }
      wire.send(
          Wire.Word.FAULT,
          out -> {
            out.writeLong(faulty.number);
            Wire.writeBytes(out, faulty.arrival.fault.getBytes(RemoteClique.TEXT));
          });
    }

    /** Tells this rank that {@code who} waits for it, so that a lazy GPU runs. */
    private void wanted(Arrival arrival, int who) {
      wire.send(
          Wire.Word.WANTED,
          out -> {
            out.writeInt(
                RemoteClique.lane(
                    arrival.call.isMessage()
                        ? message(
                            arrival.call.kind() == Call.Kind.SEND
                                ? Call.Kind.RECEIVE
                                : Call.Kind.SEND,
                            who)
                        : arrival.call));
          });
    }

    private void leave(boolean inOrder) {
      synchronized (Hub.this) {
        connected.remove(this);
        LocalClique left = clique;
        Communicator gone = communicator;
        if (left != null && gone != null) {
          left.leave(gone);
          List<Member> others = members.getOrDefault(left, new ArrayList<>());
          others.remove(this);
          for (Member other : others) {
            if (!inOrder) {
              other.wire.send(Wire.Word.GONE, out -> out.writeInt(gone.rank));
            }
          }
        }
        Hub.this.notifyAll();
      }
      wire.end();
    }
  }

  private static Call message(Call.Kind kind, int peer) {
    return new Call(kind, 0, 0, 0, ElementKind.UINT8, null, peer);
  }

  static void writeCall(DataOutputStream out, Call call) throws IOException {
    ReductionKind op = call.op();
    out.writeInt(call.kind().ordinal());
    out.writeLong(call.count());
    out.writeInt(call.type().ordinal());
    out.writeInt(op == null ? -1 : op.ordinal());
    out.writeInt(call.peer());
  }

  /** Waits for ranks of other processes that have not left yet, and closes. */
  @Override
  public void close() {
    synchronized (this) {
      long end = System.currentTimeMillis() + LEAVING_MILLIS;
      while (!connected.isEmpty() && System.currentTimeMillis() < end) {
        try {
          wait(100);
        } catch (InterruptedException interrupted) {
          Thread.currentThread().interrupt();
          break;
        }
      }
      connected.forEach(member -> member.wire.close());
    }
    try {
      server.close();
    } catch (IOException closedOtherwise) {
      throw new NcclError(Nccl.ncclSystemError(), closedOtherwise.toString());
    }
  }
}
