package dev.heddle.parallel.component;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.recorded.RecordingCommunicator;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.RecordedWork;
import dev.heddle.runtime.WorkRecorder;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Has a device record a training step and repeat it, which costs the host one call for each piece
 * of the step instead of one for each kernel. On a CUDA device the pieces are graphs, cut where
 * ranks communicate.
 *
 * <p>A step is run as it is the first time that its {@linkplain ComponentProgram#shapeOfStep()
 * shape} is met, which loads kernels and fills the memory pool; recorded the second time; repeated
 * from then on, to the same bits. A few recordings are kept, the one not used for longest dropped.
 * A shape that never comes again is never recorded.
 */
public final class StepRecorder implements AutoCloseable {
  /** Each keeps the memory of a step. */
  private static final int KEPT_RECORDINGS = 4;

  private static final int KNOWN_SHAPES = 64;

  private final Device device;
  private final Set<Object> met = new LinkedHashSet<>();
  private final Map<Object, RecordedWork> recordings = new LinkedHashMap<>(16, 0.75f, true);
  private @Nullable WorkRecorder open;
  private long repetitions;

  /**
   * Records the steps of a rank.
   *
   * @throws IllegalArgumentException if the device cannot record
   */
  public StepRecorder(Device device) {
    if (!device.canRecord()) {
      throw new IllegalArgumentException(
          "step recorder: " + device.name() + " does not record its work; wanted a CUDA device");
    }
    this.device = device;
  }

  /** The communicator that programs, optimizers and the runner of recorded steps are made with. */
  public Communicator communicator(Communicator world) {
    return new RecordingCommunicator(world, () -> open);
  }

  /** Runs {@code step}, records it, or repeats the recording of one of the same shape. */
  void run(Object shape, Runnable step) {
    RecordedWork recording = recordings.get(shape);
    if (recording != null) {
      repetitions++;
      recording.repeat();
    } else if (met.contains(shape)) {
      recordings.put(shape, record(step));
    } else {
      forgetEldest(met);
      met.add(shape);
      step.run();
    }
  }

  private RecordedWork record(Runnable step) {
    if (recordings.size() == KEPT_RECORDINGS) {
      Object eldest = recordings.keySet().iterator().next();
      RecordedWork dropped = recordings.remove(eldest);
      if (dropped != null) {
        dropped.close();
      }
    }
    try (WorkRecorder recorder = device.record()) {
      open = recorder;
      step.run();
      return recorder.finish();
    } finally {
      open = null;
    }
  }

  private static void forgetEldest(Set<Object> shapes) {
    if (shapes.size() == KNOWN_SHAPES) {
      shapes.remove(shapes.iterator().next());
    }
  }

  /** How many recordings are kept now. */
  public int recordings() {
    return recordings.size();
  }

  /** How many steps were repetitions of a recording. */
  public long repetitions() {
    return repetitions;
  }

  /** In how many pieces all recordings give their work to the device. */
  public int pieces() {
    return recordings.values().stream().mapToInt(RecordedWork::pieces).sum();
  }

  /** Gives the recordings' memory back. */
  @Override
  public void close() {
    recordings.values().forEach(RecordedWork::close);
    recordings.clear();
  }
}
