package dev.heddle.parallel.comm.nccl;

import dev.heddle.parallel.comm.Message;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Brings elements together that do not lie together, since NCCL moves contiguous memory: by kernels
 * of the device, on its stream, into scratch memory of the operation. Contiguous arrays are used as
 * they are.
 */
final class Packing {
  /** From how many row intervals on one gather is cheaper than a copy for each. */
  private static final int MANY_INTERVALS = 8;

  private final NcclOperation operation;

  Packing(NcclOperation operation) {
    this.operation = operation;
  }

  // ---- whole arrays

  /** The elements in row-major order, to be read. */
  NDArray input(NDArray array) {
    if (array.isContiguous()) {
      return array;
    }
    NDArray flat = like(array);
    array.kernels().copy(array, flat);
    return flat;
  }

  /** Memory for the elements in row-major order, which end up in the array. */
  NDArray output(NDArray array) {
    if (array.isContiguous()) {
      return array;
    }
    NDArray flat = like(array);
    operation.whenDone(() -> array.kernels().copy(flat, array));
    return flat;
  }

  /** The elements in row-major order, to be read and written. */
  NDArray inOut(NDArray array) {
    NDArray flat = input(array);
    if (flat != array) {
      operation.whenDone(() -> array.kernels().copy(flat, array));
    }
    return flat;
  }

  private NDArray like(NDArray array) {
    return operation.scratch(array.dtype(), array.shape().toArray());
  }

  /** Copies an array to another one with as many elements, now; nothing if it is the same. */
  void copy(NDArray from, NDArray to) {
    if (to.size() == 0 || isSame(from, to)) {
      return;
    }
    if (from.isContiguous() && to.isContiguous()) {
      long bytes = to.size() * to.dtype().byteSize();
      operation.device().stream().copy(to.address(), from.address(), bytes);
    } else {
      NDArray source = from.shape().equals(to.shape()) ? from : input(from).reshape(to.shape());
      to.kernels().copy(source, to);
    }
  }

  private static boolean isSame(NDArray a, NDArray b) {
    boolean same = a.address() == b.address() && a.shape().equals(b.shape());
    for (int dim = 0; same && dim < a.rank(); dim++) {
      same = a.dim(dim) <= 1 || a.stride(dim) == b.stride(dim);
    }
    return same;
  }

  // ---- lists of parts

  /** Whether all parts have as many elements as the first. */
  static boolean haveOneSize(List<NDArray> parts) {
    for (int i = 1; i < parts.size(); i++) {
      if (parts.get(i).size() != parts.get(0).size()) {
        return false;
      }
    }
    return true;
  }

  /** Parts of one size as rows [members, elements] of memory, if that is how they lie. */
  private static boolean lieTogether(List<NDArray> parts) {
    NDArray first = parts.get(0);
    long bytes = first.size() * first.dtype().byteSize();
    for (int i = 0; i < parts.size(); i++) {
      NDArray part = parts.get(i);
      if (!part.isContiguous() || part.address() != first.address() + i * bytes) {
        return false;
      }
    }
    return true;
  }

  /** The address of the parts one behind the other, to be read. */
  long inputs(List<NDArray> parts) {
    if (lieTogether(parts)) {
      return parts.get(0).address();
    }
    NDArray rows = rows(parts);
    for (int i = 0; i < parts.size(); i++) {
      copy(parts.get(i), row(rows, i));
    }
    return rows.address();
  }

  /** The address of memory for the parts one behind the other, which end up in the parts. */
  long outputs(List<NDArray> parts) {
    if (lieTogether(parts)) {
      return parts.get(0).address();
    }
    NDArray rows = rows(parts);
    operation.whenDone(
        () -> {
          for (int i = 0; i < parts.size(); i++) {
            copy(row(rows, i), parts.get(i));
          }
        });
    return rows.address();
  }

  private NDArray rows(List<NDArray> parts) {
    return operation.scratch(parts.get(0).dtype(), parts.size(), parts.get(0).size());
  }

  /** Row {@code i} of a matrix, as a vector. */
  static NDArray row(NDArray rows, int i) {
    return rows.slice(0, i, i + 1L).reshape(rows.dim(1));
  }

  // ---- messages

  /** A message's elements, to be sent. */
  NDArray sent(Message message) {
    NDArray whole = contiguousView(message);
    if (whole != null) {
      return whole;
    }
    long[] bounds = message.rowBounds();
    if (bounds == null) {
      return input(message.array());
    }
    NDArray flat = flatRows(message);
    if (bounds.length > 2 * MANY_INTERVALS && canGather(message)) {
      gather(message, bounds, flat);
    } else {
      forEachInterval(message, bounds, flat, true);
    }
    return flat;
  }

  /** Memory for a message's elements, which end up where the message says. */
  NDArray received(Message message) {
    NDArray whole = contiguousView(message);
    if (whole != null) {
      return whole;
    }
    long[] bounds = message.rowBounds();
    if (bounds == null) {
      return output(message.array());
    }
    NDArray flat = flatRows(message);
    operation.whenDone(() -> forEachInterval(message, bounds, flat, false));
    return flat;
  }

  /** Copies a message of this rank to itself, now. */
  void own(Message send, Message receive) {
    if (send.rowBounds() == null && receive.rowBounds() == null) {
      copy(send.array(), receive.array());
      return;
    }
    NDArray flat = sent(send);
    long[] bounds = receive.rowBounds();
    if (bounds == null) {
      copy(flat, receive.array());
    } else {
      NDArray rows = flat.reshape(flat.size() / receive.columnCount(), receive.columnCount());
      forEachInterval(receive, bounds, rows, false);
    }
  }

  /** The message's elements where they are, if they lie together; else null. */
  private static @Nullable NDArray contiguousView(Message message) {
    long[] bounds = message.rowBounds();
    if (bounds == null) {
      return message.array().isContiguous() ? message.array() : null;
    }
    if (bounds.length != 2) {
      return null;
    }
    NDArray view = columns(message).slice(0, bounds[0], bounds[1]);
    return view.isContiguous() ? view : null;
  }

  private static NDArray columns(Message message) {
    long first = message.firstColumn();
    return message.array().slice(1, first, first + message.columnCount());
  }

  private NDArray flatRows(Message message) {
    long rows = message.elementCount() / message.columnCount();
    return operation.scratch(message.dtype(), rows, message.columnCount());
  }

  private static void forEachInterval(Message message, long[] bounds, NDArray flat, boolean pack) {
    NDArray columns = columns(message);
    long position = 0;
    for (int i = 0; i < bounds.length; i += 2) {
      long rows = bounds[i + 1] - bounds[i];
      if (rows > 0) {
        NDArray there = columns.slice(0, bounds[i], bounds[i + 1]);
        NDArray here = flat.slice(0, position, position + rows);
        there.kernels().copy(pack ? there : here, pack ? here : there);
        position += rows;
      }
    }
  }

  private boolean canGather(Message message) {
    boolean floating = message.dtype() == DType.F32 || message.dtype() == DType.BF16;
    // Row numbers travel from the host, which a graph under capture does not allow.
    return floating && message.array().stride(1) == 1 && !operation.device().stream().isCapturing();
  }

  private void gather(Message message, long[] bounds, NDArray flat) {
    NDArray columns = columns(message);
    int[] numbers = new int[Math.toIntExact(flat.dim(0))];
    int next = 0;
    for (int i = 0; i < bounds.length; i += 2) {
      for (long row = bounds[i]; row < bounds[i + 1]; row++) {
        numbers[next++] = Math.toIntExact(row);
      }
    }
    NDArray rows = operation.scratch(DType.I32, numbers.length);
    rows.writeBytes(MemorySegment.ofArray(numbers));
    flat.kernels().gatherRows(columns, rows, flat);
  }
}
