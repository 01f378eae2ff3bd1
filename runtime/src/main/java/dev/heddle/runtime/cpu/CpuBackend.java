package dev.heddle.runtime.cpu;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.machine.Processor;
import dev.heddle.runtime.memory.MemoryPool;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/** Which implementation of the kernel table a {@link CpuDevice} uses. */
public enum CpuBackend {
  /**
   * The fastest that this JVM and machine have: the Vector API with products by machine code of our
   * own where it runs ({@link Processor}), else by oneDNN. What is missing is said once, with the
   * fix, and done without.
   */
  BEST,
  /**
   * The Vector API with oneDNN's products where it is found, as {@link #BEST} on processors that no
   * machine code of our own is for.
   */
  ONEDNN,
  /** The Vector API, no natives. */
  VECTOR,
  /** {@link ReferenceKernels} for every type: slow and obvious, for checking. */
  REFERENCE;

  private static final String VECTOR_MODULE = "jdk.incubator.vector";
  private static final System.Logger LOG = System.getLogger(CpuBackend.class.getName());
  private static final AtomicBoolean SAID_NO_VECTORS = new AtomicBoolean();
  private static final AtomicBoolean SAID_NO_ONEDNN = new AtomicBoolean();
  private static final AtomicBoolean SAID_NO_BF16 = new AtomicBoolean();

  /**
   * System property: {@code true} has {@link #BEST} round the operands of F32 products to bf16 (8
   * significant bits) on processors with bf16 instructions; sums, and all else, stay F32. {@code
   * false} is the default. What {@code torch.set_float32_matmul_precision("medium")} does.
   */
  public static final String BF16_PRODUCTS_PROPERTY = "heddle.cpu.bf16Products";

  private static boolean wantsBf16Products() {
    String value = System.getProperty(BF16_PRODUCTS_PROPERTY, "false");
    return switch (value) {
      case "true" -> true;
      case "false" -> false;
      default ->
          throw new IllegalArgumentException(
              "-D" + BF16_PRODUCTS_PROPERTY + "=" + value + ": accepted: true, false");
    };
  }

  /**
   * Whether the JVM was started with the Vector API's module. Classes that use it are touched only
   * if so.
   */
  public static boolean hasVectorApi() {
    return ModuleLayer.boot().findModule(VECTOR_MODULE).isPresent();
  }

  /** Bits of the vectors that {@link #BEST} computes with, or 0 without the Vector API. */
  public static int vectorBits() {
    return hasVectorApi() ? VectorTables.bits() : 0;
  }

  /**
   * Whether {@link #BEST} computes by machine code of our own: on Linux on x86-64 with AVX-512,
   * unless {@link Processor#PROPERTY} switches it off.
   */
  public static boolean hasMachineCode() {
    return hasVectorApi() && VectorTables.hasMachineCode();
  }

  /** The version of oneDNN, if it is found and has what is needed of it. */
  public static Optional<String> oneDnnVersion() {
    return OneDnnLibrary.isAvailable() ? Optional.of(OneDnnLibrary.version()) : Optional.empty();
  }

  /**
   * The tables by {@link DType#ordinal()}.
   *
   * @throws IllegalStateException for {@link #VECTOR} without the Vector API, with the flag to pass
   */
  Kernels[] tables(WorkerPool workers, MemoryPool memory) {
    Kernels[] tables = new Kernels[DType.values().length];
    Arrays.fill(tables, new ReferenceKernels());
    if (this == REFERENCE) {
      return tables;
    }
    if (!hasVectorApi()) {
      if (this == VECTOR) {
        throw new IllegalStateException(
            "CpuBackend.VECTOR: this JVM was started without the Vector API; pass --add-modules "
                + VECTOR_MODULE
                + ", or use CpuBackend.BEST or REFERENCE");
      }
      if (SAID_NO_VECTORS.compareAndSet(false, true)) {
        LOG.log(
            System.Logger.Level.WARNING,
            "the Vector API is not there, so slow reference kernels run; pass --add-modules "
                + VECTOR_MODULE
                + " to java");
      }
      return tables;
    }
    boolean oneDnn = (this == BEST || this == ONEDNN) && findsOneDnn();
    VectorTables.fill(tables, workers, memory, this, oneDnn);
    for (DType dtype : DType.values()) {
      if (!dtype.isFloating()) {
        tables[dtype.ordinal()] = new IntegerKernels();
      }
    }
    return tables;
  }

  private static boolean findsOneDnn() {
    if (OneDnnLibrary.isAvailable()) {
      return true;
    }
    if (SAID_NO_ONEDNN.compareAndSet(false, true)) {
      LOG.log(
          System.Logger.Level.WARNING,
          "oneDNN is not there, so matrix products run in Java; add the artifact"
              + " org.bytedeco:dnnl with your platform's classifier to the class path, or name a"
              + " library with -Dheddle.onednn=PATH ("
              + NativeLibrary.ONEDNN.reason().lines().findFirst().orElse("not found")
              + ")");
    }
    return false;
  }

  /** Apart, so that the Vector API's classes are touched only when its module is there. */
  private static final class VectorTables {
    static boolean hasMachineCode() {
      return TileKernels.multiplyF32();
    }

    static int bits() {
      return Lanes.SPECIES.vectorBitSize();
    }

    /**
     * The tables for floating types.
     *
     * @param oneDnn whether oneDNN is to be used
     */
    static void fill(
        Kernels[] tables,
        WorkerPool workers,
        MemoryPool memory,
        CpuBackend backend,
        boolean oneDnn) {
      MatrixMultiply multiply =
          oneDnn ? new OneDnnMultiply(workers, memory) : new PackedMultiply(workers, memory);
      @Nullable MachineMultiply machine = null;
      boolean libraryBf16 = oneDnn && OneDnnMatmul.multipliesBf16();
      if (backend == BEST && TileKernels.multiplyF32()) {
        machine = new MachineMultiply(workers, memory, multiply);
        multiply = machine;
      }
      // The library has matrix units for bf16 where the processor does, our code has not.
      boolean machineBf16 =
          machine != null
              && TileKernels.multiplyBf16()
              && !(libraryBf16 && Processor.here().matrixUnits());
      @Nullable MachineMultiply ownBf16 = machineBf16 ? machine : null;
      Bf16Products bf16 = new Bf16Products(workers, memory, ownBf16, libraryBf16);
      if (backend != VECTOR && wantsBf16Products()) {
        if (bf16.areInstructions()) {
          multiply = new RoundedMultiply(workers, memory, multiply, ownBf16);
        } else if (SAID_NO_BF16.compareAndSet(false, true)) {
          LOG.log(
              System.Logger.Level.WARNING,
              "-D"
                  + BF16_PRODUCTS_PROPERTY
                  + " is set, but this processor has no bf16 instructions, so products stay exact");
        }
      }
      @Nullable MachineLoops loops = backend == BEST ? MachineLoops.here() : null;
      Kernels floats = new VectorKernels(workers, memory, multiply, loops);
      tables[DType.F32.ordinal()] = floats;
      tables[DType.BF16.ordinal()] = new Bf16Kernels(floats, workers, memory, bf16, loops);
    }
  }
}
