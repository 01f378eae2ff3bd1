package dev.heddle.runtime.cpu;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.machine.RowLoop;
import dev.heddle.runtime.machine.VectorProgram.Type;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import org.jspecify.annotations.Nullable;

/**
 * Layer and RMS norm of bf16 rows with F32 parameters: {@link VectorNorms} without F32 copies of
 * rows, by the loops of {@link Bf16NormLoops}. The backward pass is the one where all gradients are
 * wanted. How rows are cut depends on the shape alone.
 *
 * <p>The object's own fields describe the running call to the workers.
 */
final class Bf16Norms {
  /** Chunks of rows in a backward: what each sums apart costs a row of memory. */
  private static final int CHUNKS = 32;

  private static final int MIN_CHUNK_ROWS = 16;

  private final WorkerPool workers;
  private final MemoryPool memory;
  private final ColumnSums sums;
  private final @Nullable RowLoop gradientCode;
  private final RowStages forward =
      new RowStages(this::centerRows, this::measureRows, this::normalizeRows);
  private final RowStages backward =
      new RowStages(this::clearSums, this::readRows, this::addLanes, this::writeInputGradients);

  private int columns;
  private long rowBytes;
  private double epsilon;
  private long xs;
  private long weights;

  /** 0 where there are none. */
  private long biases;

  /** 0 for RMS norm. */
  private long means;

  private long rstds;
  private long ys;
  private long dys;
  private long dxs;
  private long grain;
  private long weightSums;
  private long biasSums;
  private long lanes;
  private long averages;

  Bf16Norms(WorkerPool workers, MemoryPool memory, @Nullable MachineLoops machine) {
    this.workers = workers;
    this.memory = memory;
    this.sums = new ColumnSums(workers, memory, machine);
    @Nullable MachineRows loops = machine == null ? null : MachineRows.here();
    this.gradientCode = loops == null ? null : loops.normGradients(Type.BF16);
  }

  /**
   * Layer norm, or RMS norm where there is no mean.
   *
   * @param weight F32, as {@code bias}
   */
  void normalize(
      NDArray x,
      NDArray weight,
      @Nullable NDArray bias,
      double newEpsilon,
      NDArray y,
      @Nullable NDArray mean,
      NDArray rstd) {
    describe(x, weight, mean, rstd);
    biases = bias == null ? 0 : bias.address();
    epsilon = newEpsilon;
    ys = y.address();
    workers.run(x.shape().rows(), VectorSoftmax.rowGrain(columns), forward.forColumns(columns));
  }

  private void describe(NDArray x, NDArray weight, @Nullable NDArray mean, NDArray rstd) {
    columns = Math.toIntExact(x.dim(-1));
    rowBytes = 2L * columns;
    xs = x.address();
    weights = weight.address();
    means = mean == null ? 0 : mean.address();
    rstds = rstd.address();
  }

  private float mean(long row) {
    return means == 0 ? 0 : Lanes.get(means + 4 * row);
  }

  private void centerRows(long start, long end) {
    if (means == 0) {
      return;
    }
    for (long row = start; row < end; row++) {
      Lanes.set(means + 4 * row, Bf16NormLoops.sum(xs + row * rowBytes, columns) / columns);
    }
  }

  private void measureRows(long start, long end) {
    for (long row = start; row < end; row++) {
      double squares = Bf16NormLoops.sumOfSquares(xs + row * rowBytes, mean(row), columns);
      Lanes.set(rstds + 4 * row, (float) (1 / Math.sqrt(squares / columns + epsilon)));
    }
  }

  private void normalizeRows(long start, long end) {
    for (long row = start; row < end; row++) {
      long x = xs + row * rowBytes;
      long y = ys + row * rowBytes;
      float scale = Lanes.get(rstds + 4 * row);
      if (biases == 0) {
        Bf16NormLoops.normalize(x, mean(row), scale, weights, y, columns);
      } else {
        Bf16NormLoops.normalize(x, mean(row), scale, weights, biases, y, columns);
      }
    }
  }

  /** Whether {@link #differentiate} is for rows of so many columns. */
  static boolean differentiates(long columns) {
    return columns >= Lanes.LENGTH;
  }

  /**
   * With n = (x - mean) rstd and g = dy weight: dx = rstd (g - mean(g) - n mean(g n)), dweight = Σ
   * dy n, dbias = Σ dy. RMS norm is the case without means, where mean(g) does not come in.
   *
   * @param weight F32
   * @param dweight bf16 or null, as {@code dbias}
   */
  void differentiate(
      NDArray x,
      NDArray weight,
      @Nullable NDArray mean,
      NDArray rstd,
      NDArray dy,
      NDArray dx,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias) {
    describe(x, weight, mean, rstd);
    long rows = x.shape().rows();
    grain = Math.max(MIN_CHUNK_ROWS, (rows + CHUNKS - 1) / CHUNKS);
    long chunks = (rows + grain - 1) / grain;
    dys = dy.address();
    dxs = dx.address();
    long sumBytes = 4L * columns;
    // A row for each chunk's sums of either kind, one for the sum of all; a row's two means, before
    // that by lanes.
    long laneBytes = 2L * Lanes.BYTES * rows;
    Block block = memory.borrow(laneBytes + (2 * chunks + 1) * sumBytes + 8 * rows);
    try {
      lanes = block.segment().address();
      weightSums = lanes + laneBytes;
      biasSums = weightSums + chunks * sumBytes;
      long all = biasSums + chunks * sumBytes;
      averages = all + sumBytes;
      workers.run(rows, grain, backward.forColumns(columns));
      if (dweight != null) {
        sums.add(weightSums, sumBytes, chunks, columns, all);
        Bf16Conversion.narrow(all, dweight.address(), columns);
      }
      if (dbias != null) {
        sums.add(biasSums, sumBytes, chunks, columns, all);
        Bf16Conversion.narrow(all, dbias.address(), columns);
      }
    } finally {
      block.release();
    }
  }

  /** Where a chunk begins, its sums do. */
  private void clearSums(long start, long end) {
    if (start % grain == 0) {
      long chunk = start / grain * 4 * columns;
      Tiles.fill(weightSums + chunk, columns, 0);
      Tiles.fill(biasSums + chunk, columns, 0);
    }
  }

  private void readRows(long start, long end) {
    long dw = weightSums + start / grain * 4 * columns;
    long db = biasSums + start / grain * 4 * columns;
    long row =
        start
            + NormGradients.addPairs(
                gradientCode,
                end - start,
                xs + start * rowBytes,
                dys + start * rowBytes,
                rowBytes,
                means == 0 ? 0 : means + 4 * start,
                rstds + 4 * start,
                weights,
                dw,
                db,
                averages + 8 * start,
                columns);
    for (; row + 2 <= end; row += 2) {
      Bf16NormLoops.addPair(
          xs + row * rowBytes,
          dys + row * rowBytes,
          rowBytes,
          mean(row),
          Lanes.get(rstds + 4 * row),
          mean(row + 1),
          Lanes.get(rstds + 4 * row + 4),
          weights,
          dw,
          db,
          lanes + 2 * row * Lanes.BYTES,
          columns);
    }
    if (row < end) {
      Bf16NormLoops.addRow(
          xs + row * rowBytes,
          dys + row * rowBytes,
          mean(row),
          Lanes.get(rstds + 4 * row),
          weights,
          dw,
          db,
          lanes + 2 * row * Lanes.BYTES,
          columns);
    }
  }

  private void addLanes(long start, long end) {
    // Machine code has added those of pairs.
    boolean byMachine = NormGradients.addsPairs(gradientCode, columns);
    for (long row = byMachine ? end - (end - start) % 2 : start; row < end; row++) {
      Bf16NormLoops.addLanes(lanes + 2 * row * Lanes.BYTES, averages + 8 * row);
    }
  }

  private void writeInputGradients(long start, long end) {
    for (long row = start; row < end; row++) {
      float scale = Lanes.get(rstds + 4 * row);
      float g = means == 0 ? 0 : Lanes.get(averages + 8 * row) / columns;
      float product = Lanes.get(averages + 8 * row + 4) / columns * scale;
      Bf16NormLoops.writeInputGradient(
          xs + row * rowBytes,
          mean(row),
          scale,
          weights,
          dys + row * rowBytes,
          g,
          product,
          dxs + row * rowBytes,
          columns);
    }
  }
}
