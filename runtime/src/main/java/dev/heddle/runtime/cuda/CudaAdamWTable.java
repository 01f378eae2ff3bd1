package dev.heddle.runtime.cuda;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.KernelChecks;
import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Where the weights, gradients and moments of many tensors lie, on the GPU: with it {@link
 * CudaKernels#adamW(AdamWStep, CudaAdamWTable)} updates all of them in one launch. Built once for
 * tensors that stay where they are; it keeps their memory alive, and its own, until {@link
 * #close()}.
 */
public final class CudaAdamWTable implements AutoCloseable {
  /** Elements of a block; see UPDATES_EACH in {@code updates.cu}. */
  static final long ELEMENTS = 8192;

  private static final int ENTRY = 7;

  /** A step that any arguments can be checked with. */
  private static final AdamWStep CHECKED = new AdamWStep(0, 0, 0, 1, 0, 1, 1);

  private final List<NDArray> kept;
  private final NDArray descriptors;
  private final DType dtype;
  private final int count;
  private final int blocks;
  private boolean closed;

  /**
   * One tensor: arguments as those of {@link dev.heddle.runtime.Kernels#adamW}.
   *
   * @param copy receives the new weight in the gradient's dtype, or null
   */
  public record Tensor(
      NDArray weight,
      NDArray gradient,
      NDArray firstMoment,
      NDArray secondMoment,
      @Nullable NDArray copy) {}

  private CudaAdamWTable(
      List<NDArray> kept, NDArray descriptors, DType dtype, int count, int blocks) {
    this.kept = kept;
    this.descriptors = descriptors;
    this.dtype = dtype;
    this.count = count;
    this.blocks = blocks;
  }

  /**
   * A table of these tensors, whose gradients have one dtype. Needs an open {@code MemoryScope}.
   *
   * @throws IllegalArgumentException as {@code adamW} would for one of the tensors
   */
  public static CudaAdamWTable of(CudaDevice device, List<Tensor> tensors) {
    if (tensors.isEmpty()) {
      throw new IllegalArgumentException("CudaAdamWTable: no tensors; wanted at least one");
    }
    DType dtype = tensors.get(0).gradient().dtype();
    long[] entries = new long[ENTRY * tensors.size()];
    List<NDArray> kept = new ArrayList<>();
    int count = 0;
    long blocks = 0;
    for (Tensor t : tensors) {
      NDArray copy = t.copy();
      KernelChecks.adamW(
          CHECKED, t.weight(), t.gradient(), t.firstMoment(), t.secondMoment(), copy);
      KernelChecks.tableType("adamW", "gradient", t.gradient(), dtype);
      if (t.gradient().device() != device) {
        throw new IllegalArgumentException(
            "CudaAdamWTable: a tensor is on "
                + t.gradient().device().name()
                + "; wanted "
                + device.name());
      }
      long size = t.weight().size();
      if (size == 0) {
        continue;
      }
      int at = ENTRY * count++;
      entries[at] = blocks;
      entries[at + 1] = size;
      entries[at + 2] = t.weight().address();
      entries[at + 3] = t.gradient().address();
      entries[at + 4] = t.firstMoment().address();
      entries[at + 5] = t.secondMoment().address();
      entries[at + 6] = copy == null ? 0 : copy.address();
      blocks += CudaLauncher.ceilDivide(size, ELEMENTS);
      kept.add(t.weight());
      kept.add(t.gradient());
      kept.add(t.firstMoment());
      kept.add(t.secondMoment());
      if (copy != null) {
        kept.add(copy);
      }
    }
    NDArray descriptors = NDArray.of(device, Shape.of(entries.length), entries);
    kept.add(descriptors);
    for (NDArray array : kept) {
      array.retain();
    }
    return new CudaAdamWTable(kept, descriptors, dtype, count, Math.toIntExact(blocks));
  }

  /** The gradients' dtype. */
  DType dtype() {
    return dtype;
  }

  /** Tensors that have elements. */
  int count() {
    return count;
  }

  int blocks() {
    return blocks;
  }

  NDArray descriptors() {
    return descriptors;
  }

  /** Lets go of the memory. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      for (NDArray array : kept) {
        array.release();
      }
    }
  }
}
