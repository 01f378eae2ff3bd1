package dev.heddle.jmh.boundary;

import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.redistribute.PlanBuffer;
import dev.heddle.parallel.redistribute.TransferPlan;
import java.util.Comparator;
import org.jspecify.annotations.Nullable;

/**
 * The bytes of one direction of a boundary, F32.
 *
 * @param rows the bytes of rows in a rank's result
 * @param blank the bytes of that result where no row belongs: zeros, which it has to write too
 * @param sent what all ranks send to others under the strategy
 * @param least the fewest bytes that others must send under any strategy
 */
public record Volume(long rows, long blank, long sent, long least) {
  /** Those of a plan, for the rank that has most to write. */
  public static Volume of(TransferPlan plan) {
    return plan.buffer(PlanBuffer.OUTPUT).ranks().stream()
        .map(rank -> of(plan, rank))
        .max(Comparator.comparingLong(Volume::written))
        .orElseThrow();
  }

  /** Those of a plan, for one rank. */
  public static Volume of(TransferPlan plan, int rank) {
    Holding result = plan.buffer(PlanBuffer.OUTPUT).find(rank);
    long bytesOfRow = result == null ? 0 : result.features().size() * Float.BYTES;
    long held = result == null ? 0 : result.runs().size();
    long places = result == null ? 0 : result.bufferRows();
    return new Volume(
        held * bytesOfRow,
        (places - held) * bytesOfRow,
        plan.traffic().total() * Float.BYTES,
        plan.lowerBound() * Float.BYTES);
  }

  /** All bytes of a buffer, 0 for none. */
  static long bytes(@Nullable Holding buffer) {
    return buffer == null ? 0 : buffer.bufferRows() * buffer.features().size() * Float.BYTES;
  }

  /** What the rank must write. */
  public long written() {
    return rows + blank;
  }

  /** Bytes that are sent for each that must be; NaN where none must. */
  public double sentOfLeast() {
    return least == 0 ? Double.NaN : (double) sent / least;
  }

  /** 10^9 bytes a second that the rank writes, if that takes so many microseconds. */
  public double gigabytesPerSecond(double micros) {
    return written() / micros * 1e-3;
  }
}
