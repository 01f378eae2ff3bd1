package dev.heddle.runtime.cuda;

import dev.heddle.runtime.RecordedWork;
import dev.heddle.runtime.WorkRecorder;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Records a device's work as CUDA graphs with host actions between them. Each piece is launched as
 * soon as it is captured, so that what the host does next finds its results.
 *
 * <p>Values that come from the host meanwhile, such as tables of addresses, are copied into
 * page-locked memory of the recording's own, and the graph copies them from there each time: the
 * pool gives the memory that they go to to others within the step.
 */
final class CudaRecorder implements WorkRecorder {
  /** One piece of the work. */
  private sealed interface Piece {
    record Graph(MemorySegment executable) implements Piece {}

    record Host(Runnable action) implements Piece {}
  }

  private final CudaDevice device;
  private final CudaContext context;
  private final CudaStream stream;
  private final MemoryPool.Reservation reservation;
  private final CudaConstants constants;
  private final List<Piece> pieces = new ArrayList<>();
  private boolean capturing;
  private boolean ended;

  CudaRecorder(CudaDevice device) {
    this.device = device;
    this.context = device.context();
    this.stream = device.stream();
    stream.refuseInCapture("a recording");
    this.constants = new CudaConstants(context);
    this.reservation = device.memory().reserve();
    boolean begun = false;
    try {
      resume();
      begun = true;
    } finally {
      if (!begun) {
        reservation.close();
        constants.close();
      }
    }
  }

  private void resume() {
    CudaCapture.begin(context, stream);
    capturing = true;
  }

  /** Ends the piece under capture and launches it. */
  private void cut() {
    capturing = false;
    MemorySegment graph = CudaCapture.end(context, stream);
    try {
      if (!CudaCapture.isEmpty(graph)) {
        MemorySegment executable = CudaCapture.instantiate(context, graph);
        pieces.add(new Piece.Graph(executable));
        CudaCapture.launch(context, stream, executable);
      }
    } finally {
      CudaCapture.destroy(graph);
    }
  }

  @Override
  public void host(Runnable action) {
    requireOpen();
    cut();
    action.run();
    pieces.add(new Piece.Host(action));
    resume();
  }

  /** Runs {@code action} between two pieces; it is not repeated. */
  void once(Runnable action) {
    cut();
    action.run();
    resume();
  }

  /** Captures a copy of these values, as they are now, to the GPU. */
  void constant(MemorySegment source, long destination) {
    long bytes = source.byteSize();
    if (!constants.hasRoom(bytes)) {
      once(() -> constants.grow(bytes));
    }
    stream.copyFromHost(destination, constants.keep(source), bytes);
  }

  /** Whether work is being captured now, and not between two pieces. */
  boolean isCapturing() {
    return capturing;
  }

  private void requireOpen() {
    if (ended) {
      throw new IllegalStateException("CudaRecorder: used after its end");
    }
  }

  @Override
  public RecordedWork finish() {
    requireOpen();
    cut();
    ended = true;
    device.recordingEnded();
    reservation.end();
    return new Recorded(device, List.copyOf(pieces), reservation, constants);
  }

  @Override
  public void close() {
    if (ended) {
      return;
    }
    ended = true;
    device.recordingEnded();
    if (capturing) {
      capturing = false;
      CudaCapture.abandon(context, stream);
    }
    end(pieces, reservation, constants);
  }

  private static void end(
      List<Piece> pieces, MemoryPool.Reservation reservation, CudaConstants constants) {
    try {
      for (Piece piece : pieces) {
        if (piece instanceof Piece.Graph graph) {
          CudaCapture.destroyExecutable(graph.executable);
        }
      }
    } finally {
      reservation.close();
      constants.close();
    }
  }

  private static final class Recorded implements RecordedWork {
    private final CudaDevice device;
    private final List<Piece> pieces;
    private final MemoryPool.Reservation reservation;
    private @Nullable CudaConstants constants;

    private Recorded(
        CudaDevice device,
        List<Piece> pieces,
        MemoryPool.Reservation reservation,
        CudaConstants constants) {
      this.device = device;
      this.pieces = pieces;
      this.reservation = reservation;
      this.constants = constants;
    }

    @Override
    public void repeat() {
      if (constants == null) {
        throw new IllegalStateException("recorded work of " + device.name() + ": used after close");
      }
      device.stream().refuseInCapture("a repetition of recorded work");
      for (Piece piece : pieces) {
        switch (piece) {
          case Piece.Graph graph ->
              CudaCapture.launch(device.context(), device.stream(), graph.executable);
          case Piece.Host host -> host.action.run();
        }
      }
    }

    @Override
    public int pieces() {
      return (int) pieces.stream().filter(piece -> piece instanceof Piece.Graph).count();
    }

    @Override
    public void close() {
      CudaConstants held = constants;
      if (held != null) {
        constants = null;
        device.context().makeCurrent();
        // The graphs' copies read the page-locked memory when they run.
        device.stream().synchronize();
        end(pieces, reservation, held);
      }
    }
  }
}
