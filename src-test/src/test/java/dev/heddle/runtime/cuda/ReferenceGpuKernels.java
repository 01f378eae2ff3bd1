package dev.heddle.runtime.cuda;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.simulated.driver.SimulatedGpus;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;

/**
 * The few kernels that communication uses, as plain loops queued on a simulated GPU's stream: for
 * tests of what lies beside the kernels, which then need no interpreter.
 */
public final class ReferenceGpuKernels {
  private final CudaDevice device;

  private ReferenceGpuKernels(CudaDevice device) {
    this.device = device;
  }

  /** Opens a simulated GPU with these kernels. */
  public static CudaDevice open(int ordinal) {
    return CudaDevice.open(
        ordinal,
        (device, dtype) -> {
          ReferenceGpuKernels kernels = new ReferenceGpuKernels(device);
          return (Kernels)
              Proxy.newProxyInstance(
                  Kernels.class.getClassLoader(),
                  new Class<?>[] {Kernels.class},
                  (proxy, method, arguments) -> kernels.call(method, arguments));
        });
  }

  private Object call(Method method, Object[] arguments) {
    switch (method.getName()) {
      case "fill" -> fill((NDArray) arguments[0], (double) arguments[1]);
      case "copy" -> copy((NDArray) arguments[0], (NDArray) arguments[1]);
      case "gatherRows" ->
          gather((NDArray) arguments[0], (NDArray) arguments[1], (NDArray) arguments[2]);
      case "unary" ->
          negate((UnaryOperation) arguments[0], (NDArray) arguments[1], (NDArray) arguments[2]);
      case "binary" ->
          maximum(
              (BinaryOperation) arguments[0],
              (NDArray) arguments[1],
              (NDArray) arguments[2],
              (NDArray) arguments[3]);
      default -> throw new UnsupportedOperationException(method + " is not among the kernels here");
    }
    return null;
  }

  /** A view as it was when the kernel was launched: its memory may be another's later. */
  private record View(long address, DType dtype, long[] dims, long[] strides, long span) {
    static View of(NDArray array) {
      long[] strides = new long[array.rank()];
      long span = 1;
      for (int dim = 0; dim < strides.length; dim++) {
        strides[dim] = array.stride(dim);
        span += (array.dim(dim) - 1) * strides[dim];
      }
      return new View(
          array.address(),
          array.dtype(),
          array.shape().toArray(),
          strides,
          array.size() == 0 ? 0 : span);
    }

    MemorySegment in(SimulatedGpus.Memory memory, String what) {
      return memory.at(address, Math.max(1, span) * dtype.byteSize(), what);
    }

    long element(long index) {
      long element = 0;
      for (int dim = dims.length - 1; dim >= 0; dim--) {
        element += index % dims[dim] * strides[dim];
        index /= dims[dim];
      }
      return element;
    }

    long size() {
      long size = 1;
      for (long dim : dims) {
        size *= dim;
      }
      return size;
    }
  }

  private void queue(String what, SimulatedGpus.Task task) {
    device.context().makeCurrent();
    CudaDriver.check(SimulatedGpus.queue(device.stream().address(), what, what, task), what);
  }

  private void fill(NDArray y, double value) {
    View to = View.of(y);
    if (y.size() > 0) {
      queue(
          "fill",
          memory -> {
            MemorySegment target = to.in(memory, "fill");
            for (long i = 0; i < to.size(); i++) {
              to.dtype.write(target, to.element(i), value);
            }
            return true;
          });
    }
  }

  private void copy(NDArray x, NDArray y) {
    if (!x.shape().equals(y.shape()) || x.dtype() != y.dtype()) {
      throw new IllegalArgumentException("copy of " + x + " to " + y);
    }
    View from = View.of(x);
    View to = View.of(y);
    int bytes = y.dtype().byteSize();
    if (y.size() > 0) {
      queue(
          "copy",
          memory -> {
            MemorySegment source = from.in(memory, "copy");
            MemorySegment target = to.in(memory, "copy");
            for (long i = 0; i < to.size(); i++) {
              MemorySegment.copy(
                  source, from.element(i) * bytes, target, to.element(i) * bytes, bytes);
            }
            return true;
          });
    }
  }

  private void gather(NDArray x, NDArray rows, NDArray y) {
    View from = View.of(x);
    View numbers = View.of(rows);
    View to = View.of(y);
    int bytes = y.dtype().byteSize();
    queue(
        "gatherRows",
        memory -> {
          MemorySegment source = from.in(memory, "gatherRows");
          MemorySegment index = numbers.in(memory, "gatherRows");
          MemorySegment target = to.in(memory, "gatherRows");
          for (long i = 0; i < to.size(); i++) {
            long row = (long) numbers.dtype.read(index, i / to.dims[1]);
            long element = row * from.strides[0] + i % to.dims[1];
            MemorySegment.copy(source, element * bytes, target, to.element(i) * bytes, bytes);
          }
          return true;
        });
  }

  private void negate(UnaryOperation op, NDArray x, NDArray y) {
    if (op != UnaryOperation.NEGATE) {
      throw new UnsupportedOperationException(op + " is not among the kernels here");
    }
    View from = View.of(x);
    View to = View.of(y);
    queue(
        "negate",
        memory -> {
          MemorySegment source = from.in(memory, "negate");
          MemorySegment target = to.in(memory, "negate");
          for (long i = 0; i < to.size(); i++) {
            to.dtype.write(target, to.element(i), -from.dtype.read(source, from.element(i)));
          }
          return true;
        });
  }

  private void maximum(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    if (op != BinaryOperation.MAXIMUM) {
      throw new UnsupportedOperationException(op + " is not among the kernels here");
    }
    View left = View.of(a);
    View right = View.of(b);
    View to = View.of(y);
    queue(
        "maximum",
        memory -> {
          MemorySegment one = left.in(memory, "maximum");
          MemorySegment other = right.in(memory, "maximum");
          MemorySegment target = to.in(memory, "maximum");
          for (long i = 0; i < to.size(); i++) {
            double value =
                Math.max(
                    left.dtype.read(one, left.element(i)),
                    right.dtype.read(other, right.element(i)));
            to.dtype.write(target, to.element(i), value);
          }
          return true;
        });
  }
}
