package dev.heddle.runtime.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.StringJoiner;

/**
 * The CUDA driver itself: whether it is there and new enough, how many GPUs it shows, and what its
 * statuses mean. All other classes of this package call the generated {@link Cuda} functions and
 * hand the status to {@link #check} or {@link #failure}.
 */
public final class CudaDriver {
  /**
   * The oldest driver interface that will do, as CUDA writes it: 1000 times the major version and
   * 10 times the minor one. 12.0 is what NVIDIA's driver 525 has.
   */
  public static final int MINIMUM_VERSION = 12_000;

  static final AddressLayout POINTER = ValueLayout.ADDRESS;

  private CudaDriver() {}

  /** Whether a driver library was found; it may still show no GPU. Never throws. */
  public static boolean isAvailable() {
    return NativeLibrary.CUDA.isAvailable();
  }

  /**
   * Starts the driver, which may be done any number of times.
   *
   * @return its version, such as 13000 for CUDA 13.0
   * @throws IllegalStateException if there is none, with every name tried and what to do, or if it
   *     is older than {@link #MINIMUM_VERSION}
   * @throws CudaException if it is there and does not start, with no GPU in the machine for one
   */
  public static int start() {
    NativeLibrary.CUDA.require();
    int version = version();
    if (version < MINIMUM_VERSION) {
      throw new IllegalStateException(
          "the CUDA driver at %s speaks CUDA %s, wanted %s or newer: install NVIDIA driver 525 or newer"
              .formatted(
                  NativeLibrary.CUDA.location().orElse("an unknown place"),
                  versionText(version),
                  versionText(MINIMUM_VERSION)));
    }
    check(Cuda.cuInit(0), "cuInit");
    return version;
  }

  /**
   * The driver's version, such as 13000 for CUDA 13.0; needs no GPU.
   *
   * @throws IllegalStateException if there is no driver
   */
  public static int version() {
    NativeLibrary.CUDA.require();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment version = arena.allocate(JAVA_INT);
      check(Cuda.cuDriverGetVersion(version), "cuDriverGetVersion");
      return version.get(JAVA_INT, 0);
    }
  }

  /** 13000 as {@code 13.0}. */
  public static String versionText(int version) {
    return version / 1000 + "." + version % 1000 / 10;
  }

  /** How many GPUs the driver shows to this process; starts the driver. */
  public static int deviceCount() {
    start();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment count = arena.allocate(JAVA_INT);
      check(Cuda.cuDeviceGetCount(count), "cuDeviceGetCount");
      return count.get(JAVA_INT, 0);
    }
  }

  /**
   * Does nothing if {@code status} is success.
   *
   * @throws CudaException if it is not
   */
  public static void check(int status, String call) {
    if (status != 0) {
      throw failure(status, call);
    }
  }

  /**
   * The exception for a call that failed.
   *
   * @param arguments names and values by turns, for the message
   */
  public static CudaException failure(int status, String call, Object... arguments) {
    return failureWith("", status, call, arguments);
  }

  /** {@link #failure} with more to say than the driver does: figures, a log. */
  static CudaException failureWith(String detail, int status, String call, Object... arguments) {
    String name = errorName(status);
    StringJoiner list = new StringJoiner(", ", "(", ")");
    for (int i = 0; i + 1 < arguments.length; i += 2) {
      Object value = arguments[i + 1];
      String text =
          value instanceof MemorySegment segment
              ? "0x" + Long.toHexString(segment.address())
              : String.valueOf(value);
      list.add(arguments[i] + "=" + text);
    }
    String advice = CudaAdvice.of(status);
    String message =
        "%s%s: %s (%d): %s.%s%s"
            .formatted(
                call,
                list,
                name,
                status,
                errorText(status),
                detail.isEmpty() ? "" : " " + detail,
                advice.isEmpty() ? "" : " " + advice);
    return new CudaException(status, name, call, message);
  }

  /** The name of a status, such as {@code CUDA_ERROR_NO_DEVICE}. */
  public static String errorName(int status) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(POINTER);
      int asked = Cuda.cuGetErrorName(status, pointer);
      return asked == 0 ? string(pointer) : "CUresult " + status;
    }
  }

  private static String errorText(int status) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(POINTER);
      int asked = Cuda.cuGetErrorString(status, pointer);
      return asked == 0 ? string(pointer) : "this driver has no text for it";
    }
  }

  private static String string(MemorySegment pointer) {
    MemorySegment text = pointer.get(POINTER, 0);
    return text.address() == 0 ? "?" : text.reinterpret(Long.MAX_VALUE).getString(0);
  }
}
