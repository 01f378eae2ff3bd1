package dev.heddle.parallel.trace;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.function.LongPredicate;

/**
 * The records of all ranks as one file in the Trace Event Format, which Perfetto and Chrome's trace
 * viewer open: an object with the list {@code traceEvents}. Times are microseconds from the first
 * span on.
 *
 * <p>Ranks on one machine share its clock. Clocks of other machines are set by a barrier at the end
 * of the run, so arrows between machines can be wrong by the time that a barrier takes to end.
 */
public final class TraceFile {
  private TraceFile() {}

  /**
   * Merges the records of all ranks. Every rank of {@code world} calls this together, after the
   * last traced operation; it is not recorded itself. Of a run that was too long for the recorders'
   * memory whole steps are written, the same ones of every rank.
   *
   * @param clock which clock this rank's times are read from: the same number on ranks of one
   *     machine
   * @param device where rank 0 and the others meet; takes a rank's part of the text at a time
   * @param out where rank 0 writes; the others write nothing
   * @throws IOException if {@code out} refuses
   */
  public static void write(TracingCommunicator world, long clock, Device device, Appendable out)
      throws IOException {
    Communicator ranks = world.target();
    TraceRecorder recorder = world.recorder();
    long firstLost =
        ranks.allReduce(
            Math.min(recorder.spans().firstLostStep(), recorder.messages().firstLostStep()),
            ReduceOp.MIN);
    long lastLost =
        ranks.allReduce(
            Math.max(recorder.spans().lastLostStep(), recorder.messages().lastLostStep()),
            ReduceOp.MAX);
    LongPredicate whole = step -> step < firstLost || step > lastLost;
    boolean anyWhole = ranks.allReduce(count(recorder, whole), ReduceOp.SUM) > 0;
    String part =
        new TraceText(
                recorder,
                ranks.globalRank(ranks.rank()),
                // Where no step fitted, parts of steps are better than nothing.
                anyWhole ? whole : step -> true,
                shift(ranks, recorder, clock))
            .render();
    byte[] text = part.getBytes(StandardCharsets.UTF_8);
    long[][] lengths = ranks.allGather(new long[] {text.length});
    if (ranks.rank() != 0) {
      send(ranks, device, text);
      return;
    }
    out.append("{\"displayTimeUnit\":\"ms\",\n\"otherData\":{\"ranks\":");
    out.append(Integer.toString(ranks.size()));
    if (firstLost <= lastLost) {
      out.append(",\"firstStepLeftOut\":").append(Long.toString(firstLost));
      out.append(",\"lastStepLeftOut\":").append(Long.toString(lastLost));
    }
    out.append("},\n\"traceEvents\":[\n").append(part);
    for (int member = 1; member < ranks.size(); member++) {
      out.append(",\n").append(receive(ranks, device, member, (int) lengths[member][0]));
    }
    out.append("\n]}\n");
  }

  private static long count(TraceRecorder recorder, LongPredicate keepsStep) {
    long[] count = {0};
    TraceBuffer spans = recorder.spans();
    spans.forEach(
        number -> {
          if (keepsStep.test(spans.data()[spans.find(number)])) {
            count[0]++;
          }
        });
    return count[0];
  }

  /** What this rank adds to its times so that they are rank 0's and count from the first span. */
  private static long shift(Communicator ranks, TraceRecorder recorder, long clock) {
    long[][] clocks = ranks.allGather(new long[] {clock});
    ranks.barrier();
    long now = System.nanoTime();
    long[][] nows = ranks.allGather(new long[] {now});
    long shift = clocks[ranks.rank()][0] == clocks[0][0] ? 0 : nows[0][0] - now;
    long[] first = {now};
    TraceBuffer spans = recorder.spans();
    spans.forEach(
        number ->
            first[0] = Math.min(first[0], spans.data()[spans.find(number) + TraceRecorder.START]));
    return shift - ranks.allReduce(first[0] + shift, ReduceOp.MIN);
  }

  private static void send(Communicator ranks, Device device, byte[] text) {
    try (MemoryScope scope = MemoryScope.open()) {
      ByteBuffer bytes = ByteBuffer.allocate(words(text.length) * Long.BYTES).put(text).rewind();
      long[] words = new long[words(text.length)];
      bytes.asLongBuffer().get(words);
      NDArray array = NDArray.of(device, Shape.of(words.length), words);
      ranks.exchange(List.of(Message.send(0, array))).await();
    }
  }

  private static String receive(Communicator ranks, Device device, int member, int length) {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray array = NDArray.empty(device, DType.I64, words(length));
      ranks.exchange(List.of(Message.receive(member, array))).await();
      ByteBuffer bytes = ByteBuffer.allocate(words(length) * Long.BYTES);
      bytes.asLongBuffer().put(array.toLongs());
      return new String(bytes.array(), 0, length, StandardCharsets.UTF_8);
    }
  }

  private static int words(int bytes) {
    return (bytes + Long.BYTES - 1) / Long.BYTES;
  }
}
