package dev.heddle.parallel.trace;

import static dev.heddle.parallel.trace.TraceRecorder.CATEGORY;
import static dev.heddle.parallel.trace.TraceRecorder.END;
import static dev.heddle.parallel.trace.TraceRecorder.GROUP;
import static dev.heddle.parallel.trace.TraceRecorder.IS_SEND;
import static dev.heddle.parallel.trace.TraceRecorder.MESSAGE;
import static dev.heddle.parallel.trace.TraceRecorder.MICRO_BATCH;
import static dev.heddle.parallel.trace.TraceRecorder.NAME;
import static dev.heddle.parallel.trace.TraceRecorder.NONE;
import static dev.heddle.parallel.trace.TraceRecorder.RECEIVED;
import static dev.heddle.parallel.trace.TraceRecorder.SENT;
import static dev.heddle.parallel.trace.TraceRecorder.SPAN;
import static dev.heddle.parallel.trace.TraceRecorder.STAGE;
import static dev.heddle.parallel.trace.TraceRecorder.START;
import static dev.heddle.parallel.trace.TraceRecorder.STEP;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongPredicate;

/**
 * One rank's part of a trace file: events of the Trace Event Format, each on a line that ends in a
 * comma but for the last. Track 0 is the rank's thread. Operations that are under way together do
 * not nest, so each goes to the first of the tracks from 1 on that is free.
 */
final class TraceText {
  private static final int THREAD_TRACK = 0;

  private final TraceRecorder recorder;
  private final int rank;
  private final LongPredicate keepsStep;
  private final long shift;
  private final StringBuilder text = new StringBuilder();

  /** The track of each operation, by the number of its span. */
  private final Map<Long, Integer> tracks = new HashMap<>();

  /**
   * The part of a rank.
   *
   * @param keepsStep of which steps anything is written
   * @param shift what is added to the recorded times, in ns, so that they count from the beginning
   *     of the trace
   */
  TraceText(TraceRecorder recorder, int rank, LongPredicate keepsStep, long shift) {
    this.recorder = recorder;
    this.rank = rank;
    this.keepsStep = keepsStep;
    this.shift = shift;
  }

  /** The events. */
  String render() {
    List<Long> thread = new ArrayList<>();
    List<Long> operations = new ArrayList<>();
    TraceBuffer spans = recorder.spans();
    spans.forEach(
        number -> {
          int at = spans.find(number);
          if (keepsStep.test(spans.data()[at + STEP])) {
            boolean apart = spans.data()[at + CATEGORY] == TraceCategory.COMMUNICATION.ordinal();
            (apart ? operations : thread).add(number);
          }
        });
    Comparator<Long> byStart = Comparator.comparingLong(number -> value(number, START));
    thread.sort(byStart.thenComparing(number -> value(number, END), Comparator.reverseOrder()));
    operations.sort(byStart);
    name("process_name", THREAD_TRACK, "rank " + rank);
    order("process_sort_index", THREAD_TRACK, rank);
    name("thread_name", THREAD_TRACK, "compute");
    order("thread_sort_index", THREAD_TRACK, THREAD_TRACK);
    thread.forEach(number -> span(number, THREAD_TRACK));
    List<Long> ends = new ArrayList<>();
    for (long number : operations) {
      span(number, track(number, ends));
    }
    recorder.messages().forEach(this::message);
    return text.toString();
  }

  private long value(long number, int column) {
    TraceBuffer spans = recorder.spans();
    return spans.data()[spans.find(number) + column];
  }

  /** The first track on which the operation before has ended; a new one if need be. */
  private int track(long number, List<Long> ends) {
    int lane = 0;
    while (lane < ends.size() && ends.get(lane) > value(number, START)) {
      lane++;
    }
    int track = 1 + lane;
    if (lane == ends.size()) {
      ends.add(0L);
      name("thread_name", track, lane == 0 ? "communication" : "communication " + track);
      order("thread_sort_index", track, track);
    }
    ends.set(lane, value(number, END));
    tracks.put(number, track);
    return track;
  }

  private void name(String what, int track, String name) {
    event("M", track).append(",\"name\":\"").append(what).append("\",\"args\":{\"name\":");
    quoted(name);
    text.append("}}");
  }

  private void order(String what, int track, int order) {
    event("M", track).append(",\"name\":\"").append(what);
    text.append("\",\"args\":{\"sort_index\":").append(order).append("}}");
  }

  private void span(long number, int track) {
    int at = recorder.spans().find(number);
    long[] data = recorder.spans().data();
    event("X", track).append(",\"ts\":");
    micros(data[at + START] + shift);
    text.append(",\"dur\":");
    micros(data[at + END] - data[at + START]);
    TraceCategory category = TraceCategory.values()[(int) data[at + CATEGORY]];
    text.append(",\"cat\":\"").append(category.word()).append("\",\"name\":");
    quoted(recorder.name(data[at + NAME]));
    text.append(",\"args\":{\"step\":").append(data[at + STEP]);
    if (data[at + STAGE] != NONE) {
      text.append(",\"stage\":").append(data[at + STAGE]);
    }
    if (data[at + MICRO_BATCH] != NONE) {
      text.append(",\"microBatch\":").append(data[at + MICRO_BATCH]);
    }
    if (data[at + GROUP] != NONE) {
      text.append(",\"group\":");
      quoted(recorder.name(data[at + GROUP]));
    }
    if (category == TraceCategory.COMMUNICATION) {
      text.append(",\"sentBytes\":").append(data[at + SENT]);
      text.append(",\"receivedBytes\":").append(data[at + RECEIVED]);
    }
    text.append("}}");
  }

  /** One end of an arrow: a message leaves when it is posted, and arrives at the end. */
  private void message(long number) {
    int at = recorder.messages().find(number);
    long[] data = recorder.messages().data();
    Integer track = tracks.get(data[at + SPAN]);
    if (track == null) {
      return;
    }
    long start = value(data[at + SPAN], START);
    long end = value(data[at + SPAN], END);
    boolean send = data[at + IS_SEND] == 1;
    event(send ? "s" : "f", track).append(",\"ts\":");
    // An arrow's head belongs to the span that it lies in, and a span does not hold its end.
    micros((send ? start : Math.max(start, end - 1)) + shift);
    text.append(send ? "" : ",\"bp\":\"e\"");
    text.append(",\"cat\":\"message\",\"name\":\"message\",\"id\":").append(data[at + MESSAGE]);
    text.append('}');
  }

  private StringBuilder event(String phase, int track) {
    text.append(text.isEmpty() ? "" : ",\n");
    text.append("{\"ph\":\"").append(phase).append("\",\"pid\":").append(rank);
    return text.append(",\"tid\":").append(track);
  }

  /** Nanoseconds as the microseconds of the format, exactly. */
  private void micros(long nanos) {
    long rest = Math.floorMod(nanos, 1000L);
    text.append(Math.floorDiv(nanos, 1000L)).append('.');
    text.append((char) ('0' + rest / 100));
    text.append((char) ('0' + rest / 10 % 10));
    text.append((char) ('0' + rest % 10));
  }

  private void quoted(String value) {
    text.append('"');
    for (int i = 0; i < value.length(); i++) {
      char c = value.charAt(i);
      if (c == '"' || c == '\\') {
        text.append('\\').append(c);
      } else if (c < ' ') {
        text.append(String.format("\\u%04x", (int) c));
      } else {
        text.append(c);
      }
    }
    text.append('"');
  }
}
