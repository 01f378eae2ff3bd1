package dev.heddle.parallel.trace;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.recorded.RecordingCommunicator;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One rank's record of what it did when: spans of its thread, which nest, and operations between
 * ranks. Memory is taken once; of a run too long for it the first and the last steps are kept.
 * Belongs to the rank's thread. Times are those of {@link System#nanoTime()}.
 *
 * <pre>{@code
 * TraceRecorder trace = TraceRecorder.of(world);   // null unless the run is traced
 * if (trace != null) {
 *   trace.begin(instruction, TraceCategory.COMPUTE, stage, microBatch);
 * }
 * ...
 * if (trace != null) {
 *   trace.end();
 * }
 * }</pre>
 */
public final class TraceRecorder {
  /** For {@code stage} and {@code microBatch}: the span belongs to none. */
  public static final int NONE = -1;

  /** A capacity for some tens of steps of a large layout; a rank's records take 7 MiB. */
  public static final int DEFAULT_CAPACITY = 1 << 15;

  private static final int MAX_DEPTH = 64;

  // What a record of a span is made of.
  static final int STEP = 0;
  static final int START = 1;
  static final int END = 2;
  static final int NAME = 3;
  static final int CATEGORY = 4;
  static final int STAGE = 5;
  static final int MICRO_BATCH = 6;
  static final int GROUP = 7;
  static final int SENT = 8;
  static final int RECEIVED = 9;
  private static final int SPAN_WIDTH = 10;

  // What a record of one end of a message is made of, after the step.
  static final int SPAN = 1;
  static final int IS_SEND = 2;
  static final int MESSAGE = 3;
  private static final int MESSAGE_WIDTH = 4;

  private final TraceBuffer spans;
  private final TraceBuffer messages;
  private final List<String> names = new ArrayList<>();
  private final Map<String, Integer> numbers = new HashMap<>();
  private final Map<Object, Integer> instructions = new IdentityHashMap<>();
  private final long[][] open = new long[MAX_DEPTH][SPAN_WIDTH];
  private int depth;
  private long step;

  /**
   * A recorder with nothing recorded.
   *
   * @param capacity how many spans of the beginning of the run are kept, and how many of its end
   */
  public TraceRecorder(int capacity) {
    if (capacity < 1) {
      throw new IllegalArgumentException(
          "TraceRecorder: got a capacity of " + capacity + " spans, wanted at least 1");
    }
    spans = new TraceBuffer(SPAN_WIDTH, capacity);
    messages = new TraceBuffer(MESSAGE_WIDTH, capacity);
  }

  /** The recorder of the run that {@code world} belongs to, or null if that is not traced. */
  public static @Nullable TraceRecorder of(Communicator world) {
    return switch (world) {
      case TracingCommunicator tracing -> tracing.recorder();
      case RecordingCommunicator recording -> of(recording.target());
      default -> null;
    };
  }

  /** Says which step of the run begins; what is recorded from now on belongs to it. */
  public void step(long number) {
    step = number;
  }

  /** Begins a span of this rank's thread that belongs to no stage and no microbatch. */
  public void begin(String name) {
    begin(number(name), TraceCategory.COMPUTE, NONE, NONE);
  }

  /**
   * Begins a span of this rank's thread, inside those that are open.
   *
   * @param instruction what is done, an object that does not change and is handed in again in every
   *     step: its text is asked for once
   * @param stage the pipeline stage, or {@link #NONE}
   * @param microBatch the microbatch, or {@link #NONE}
   */
  public void begin(Object instruction, TraceCategory category, int stage, int microBatch) {
    Integer name = instructions.get(instruction);
    if (name == null) {
      name = number(instruction.toString());
      instructions.put(instruction, name);
    }
    begin((int) name, category, stage, microBatch);
  }

  private void begin(int name, TraceCategory category, int stage, int microBatch) {
    if (depth == MAX_DEPTH) {
      throw new IllegalStateException(
          "TraceRecorder.begin: "
              + MAX_DEPTH
              + " spans are open, the innermost "
              + names.get((int) open[depth - 1][NAME])
              + "; end() is missing somewhere");
    }
    long[] span = open[depth++];
    span[NAME] = name;
    span[CATEGORY] = category.ordinal();
    span[STAGE] = stage;
    span[MICRO_BATCH] = microBatch;
    span[GROUP] = NONE;
    span[START] = System.nanoTime();
  }

  /** Ends the innermost open span of this rank's thread. */
  public void end() {
    if (depth == 0) {
      throw new IllegalStateException("TraceRecorder.end: no span is open; begin() one first");
    }
    long[] span = open[--depth];
    span[END] = System.nanoTime();
    store(step, span);
  }

  /** Records that this rank's thread waited. */
  void waited(int name, int group, long start, long end) {
    int at = spans.add(step);
    long[] data = spans.data();
    data[at + START] = start;
    data[at + END] = end;
    data[at + NAME] = name;
    data[at + CATEGORY] = TraceCategory.WAIT.ordinal();
    data[at + STAGE] = NONE;
    data[at + MICRO_BATCH] = NONE;
    data[at + GROUP] = group;
    data[at + SENT] = 0;
    data[at + RECEIVED] = 0;
  }

  /** Records an operation that is complete; returns the number of its span. */
  long communicated(long[] span) {
    span[CATEGORY] = TraceCategory.COMMUNICATION.ordinal();
    // What it was done for is what the thread was at when it was posted.
    return store(span[STEP], span);
  }

  /** What an operation posted now is recorded as, but for its end and its bytes. */
  long[] posted(int name, int group) {
    long[] span = new long[SPAN_WIDTH];
    span[STEP] = step;
    span[NAME] = name;
    span[GROUP] = group;
    span[STAGE] = NONE;
    span[MICRO_BATCH] = NONE;
    if (depth > 0) {
      span[STAGE] = open[depth - 1][STAGE];
      span[MICRO_BATCH] = open[depth - 1][MICRO_BATCH];
    }
    span[START] = System.nanoTime();
    return span;
  }

  /** Records one end of a message of the operation whose span has the number {@code span}. */
  void message(long span, long ofStep, boolean isSend, long message) {
    int at = messages.add(ofStep);
    long[] data = messages.data();
    data[at + SPAN] = span;
    data[at + IS_SEND] = isSend ? 1 : 0;
    data[at + MESSAGE] = message;
  }

  private long store(long ofStep, long[] span) {
    long number = spans.count();
    int at = spans.add(ofStep);
    System.arraycopy(span, START, spans.data(), at + START, SPAN_WIDTH - START);
    return number;
  }

  /** The number that stands for a name in the records. */
  int number(String name) {
    return numbers.computeIfAbsent(
        name,
        key -> {
          names.add(key);
          return names.size() - 1;
        });
  }

  String name(long number) {
    return names.get((int) number);
  }

  TraceBuffer spans() {
    return spans;
  }

  TraceBuffer messages() {
    return messages;
  }
}
