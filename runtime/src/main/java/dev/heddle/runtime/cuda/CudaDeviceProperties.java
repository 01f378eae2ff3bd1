package dev.heddle.runtime.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * What a GPU is.
 *
 * @param ordinal its number among the GPUs that the driver shows, from 0
 * @param name the maker's name
 * @param totalBytes its memory
 * @param computeCapability ten times the major and one time the minor version: 75, 80, 90
 * @param multiprocessors how many there are
 * @param maximumThreadsPerBlock threads in a block at most
 * @param sharedBytesPerBlock shared memory of a block unless a kernel asks for more
 * @param sharedBytesPerBlockOptIn shared memory of a block at most
 * @param hasMemoryPools whether memory can be allocated in stream order
 */
public record CudaDeviceProperties(
    int ordinal,
    String name,
    long totalBytes,
    int computeCapability,
    int multiprocessors,
    int maximumThreadsPerBlock,
    int sharedBytesPerBlock,
    int sharedBytesPerBlockOptIn,
    boolean hasMemoryPools) {

  private static final int NAME_BYTES = 256;

  /**
   * Asks the driver.
   *
   * @throws IllegalArgumentException if there is no such GPU, naming how many there are
   */
  public static CudaDeviceProperties of(int ordinal) {
    int device = handle(ordinal);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocate(NAME_BYTES);
      CudaDriver.check(Cuda.cuDeviceGetName(name, NAME_BYTES, device), "cuDeviceGetName");
      MemorySegment bytes = arena.allocate(JAVA_LONG);
      CudaDriver.check(Cuda.cuDeviceTotalMem_v2(bytes, device), "cuDeviceTotalMem");
      return new CudaDeviceProperties(
          ordinal,
          name.getString(0),
          bytes.get(JAVA_LONG, 0),
          10 * attribute(Cuda.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR(), device)
              + attribute(Cuda.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR(), device),
          attribute(Cuda.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT(), device),
          attribute(Cuda.CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK(), device),
          attribute(Cuda.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK(), device),
          attribute(Cuda.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN(), device),
          attribute(Cuda.CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED(), device) != 0);
    }
  }

  /** The driver's handle of a GPU; starts the driver. */
  static int handle(int ordinal) {
    int count = CudaDriver.deviceCount();
    if (ordinal < 0 || ordinal >= count) {
      throw new IllegalArgumentException(
          "cuda:"
              + ordinal
              + ": the driver shows "
              + count
              + " GPU(s), numbered from 0; check CUDA_VISIBLE_DEVICES");
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment device = arena.allocate(JAVA_INT);
      int status = Cuda.cuDeviceGet(device, ordinal);
      if (status != 0) {
        throw CudaDriver.failure(status, "cuDeviceGet", "ordinal", ordinal);
      }
      return device.get(JAVA_INT, 0);
    }
  }

  private static int attribute(int attribute, int device) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(JAVA_INT);
      int status = Cuda.cuDeviceGetAttribute(value, attribute, device);
      if (status != 0) {
        throw CudaDriver.failure(
            status, "cuDeviceGetAttribute", "attribute", attribute, "device", device);
      }
      return value.get(JAVA_INT, 0);
    }
  }

  /** Whether this GPU can read and write the memory of GPU {@code peer} without the host. */
  public static boolean canAccess(int ordinal, int peer) {
    if (ordinal == peer) {
      return true;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment answer = arena.allocate(JAVA_INT);
      int status = Cuda.cuDeviceCanAccessPeer(answer, handle(ordinal), handle(peer));
      if (status != 0) {
        throw CudaDriver.failure(status, "cuDeviceCanAccessPeer", "device", ordinal, "peer", peer);
      }
      return answer.get(JAVA_INT, 0) != 0;
    }
  }

  /** The greatest clock of the multiprocessors, in kHz; asks the driver. */
  public int clockKilohertz() {
    return attribute(Cuda.CU_DEVICE_ATTRIBUTE_CLOCK_RATE(), handle(ordinal));
  }

  /** The compute capability as NVIDIA writes it: {@code 7.5}. */
  public String computeCapabilityText() {
    return computeCapability / 10 + "." + computeCapability % 10;
  }
}
