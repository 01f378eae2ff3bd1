package dev.heddle.runtime.cuda;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import dev.heddle.simulated.cublas.GpuAccess;
import dev.heddle.simulated.cublas.SimulatedCublas;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayDeque;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.UnaryOperator;

/**
 * A device whose products are those of {@link CublasProducts} on a simulated cuBLAS, and whose
 * other kernels are the CPU's reference ones. Its memory is the host's, seen through bounds by the
 * simulated library; its streams run their work only when the device is waited for or another
 * kernel needs the results.
 */
public final class ProductsRig implements Device {
  /** Small, so that a test's workspace is not most of its memory. */
  private static final long WORKSPACE = 1L << 20;

  private static final long FIRST_STREAM = 0x5000;

  private final String name;
  private final CpuDevice cpu;
  private final HostMemory hostMemory = new HostMemory();
  private final MemoryPool memory;
  private final LazyStreams gpu = new LazyStreams();
  private final SimulatedCublas simulation = new SimulatedCublas(gpu);
  private final CublasStreams streams;
  private final Map<DType, CublasProducts> products = new EnumMap<>(DType.class);
  private final Map<DType, Kernels> kernels = new EnumMap<>(DType.class);
  private long stream = FIRST_STREAM;

  /** Exact products. */
  public ProductsRig(String name) {
    this(name, new ProductOptions(false, false, WORKSPACE));
  }

  ProductsRig(String name, boolean tf32, boolean activationEpilogues) {
    this(name, new ProductOptions(tf32, activationEpilogues, WORKSPACE));
  }

  private ProductsRig(String name, ProductOptions options) {
    this(name, options, symbols -> symbols);
  }

  /** With some functions of the simulated library replaced. */
  ProductsRig(String name, ProductOptions options, UnaryOperator<SymbolLookup> replacing) {
    this.name = name;
    cpu = CpuDevice.open(name + " reference", 1, CpuBackend.REFERENCE);
    memory = new MemoryPool(name, hostMemory);
    CublasLibrary library = new CublasLibrary(replacing.apply(simulation));
    streams = new CublasStreams(library, memory, options);
    for (DType dtype : new DType[] {DType.F32, DType.F64, DType.BF16}) {
      CublasProducts own = new CublasProducts(this, dtype, streams, () -> stream);
      products.put(dtype, own);
      kernels.put(dtype, table(own, cpu.kernels(dtype)));
    }
  }

  /** Products go to the first that has a method; the rest waits for the streams. */
  private Kernels table(CublasProducts own, Kernels others) {
    return (Kernels)
        Proxy.newProxyInstance(
            Kernels.class.getClassLoader(),
            new Class<?>[] {Kernels.class},
            (proxy, method, arguments) -> {
              Object receiver;
              switch (method.getName()) {
                case "gemm", "batchedGemm", "linear", "name" -> receiver = own;
                default -> {
                  gpu.runAll();
                  receiver = others;
                }
              }
              try {
                return receiver == own
                    ? CublasProducts.class
                        .getMethod(method.getName(), method.getParameterTypes())
                        .invoke(own, arguments)
                    : method.invoke(others, arguments);
              } catch (InvocationTargetException thrown) {
                throw thrown.getCause();
              }
            });
  }

  CublasProducts products(DType dtype) {
    return products.get(dtype);
  }

  CublasStreams streams() {
    return streams;
  }

  SimulatedCublas simulation() {
    return simulation;
  }

  /** Products from now on go to stream {@code index}, 0 at first. */
  void useStream(int index) {
    stream = FIRST_STREAM + index;
  }

  /** The handle of the stream in use. */
  CublasHandle handle() {
    return streams.of(stream);
  }

  /** How much work waits on stream {@code index}. */
  int queued(int index) {
    return gpu.queues.getOrDefault(FIRST_STREAM + index, new ArrayDeque<>()).size();
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public Kernels kernels(DType dtype) {
    Kernels table = kernels.get(dtype);
    return table == null ? cpu.kernels(dtype) : table;
  }

  @Override
  public MemoryPool memory() {
    return memory;
  }

  @Override
  public void copyFromHost(MemorySegment source, Block destination, long offset) {
    gpu.runAll();
    MemorySegment.copy(source, 0, destination.segment(), offset, source.byteSize());
  }

  @Override
  public void copyToHost(Block source, long offset, MemorySegment destination) {
    gpu.runAll();
    MemorySegment.copy(source.segment(), offset, destination, 0, destination.byteSize());
  }

  @Override
  public void synchronize() {
    gpu.runAll();
  }

  @Override
  public void close() {
    gpu.runAll();
    streams.close();
    memory.close();
    cpu.close();
    if (simulation.liveHandles() + simulation.liveLtObjects() > 0) {
      throw new IllegalStateException(
          name
              + ": "
              + simulation.liveHandles()
              + " cuBLAS handles and "
              + simulation.liveLtObjects()
              + " cuBLASLt objects were never destroyed");
    }
  }

  @Override
  public String toString() {
    return name;
  }

  /** An array of this device. */
  NDArray array(DType dtype, long... dims) {
    return NDArray.empty(this, dtype, dims);
  }

  /** An array of ones. */
  NDArray ones(DType dtype, long... dims) {
    return NDArray.full(this, dtype, Shape.of(dims), 1);
  }

  /** Native memory that knows its pieces. */
  private static final class HostMemory implements MemoryPool.Source {
    /** As the driver's. */
    private static final long ALIGNMENT = 256;

    private final Arena arena = Arena.ofShared();
    private final TreeMap<Long, MemorySegment> pieces = new TreeMap<>();

    @Override
    public MemorySegment allocate(long byteSize) {
      MemorySegment piece = arena.allocate(byteSize, ALIGNMENT);
      piece.fill((byte) 0xFF);
      pieces.put(piece.address(), piece);
      return piece;
    }

    MemorySegment at(long address, long byteSize, String what) {
      Map.Entry<Long, MemorySegment> below = pieces.floorEntry(address);
      if (below == null || address - below.getKey() > below.getValue().byteSize() - byteSize) {
        throw new IllegalStateException(
            "%s: %d bytes at 0x%x are not all in one block of the device"
                .formatted(what, byteSize, address));
      }
      return below.getValue().asSlice(address - below.getKey(), byteSize);
    }

    @Override
    public void close() {
      arena.close();
    }
  }

  private final class LazyStreams implements GpuAccess {
    private final Map<Long, ArrayDeque<Runnable>> queues = new HashMap<>();

    @Override
    public int currentDevice() {
      return 0;
    }

    @Override
    public int enqueue(long onStream, String kind, String what, Work work) {
      queues
          .computeIfAbsent(onStream, key -> new ArrayDeque<>())
          .addLast(() -> work.run(hostMemory::at));
      return 0;
    }

    void runAll() {
      for (ArrayDeque<Runnable> queue : queues.values()) {
        while (!queue.isEmpty()) {
          queue.removeFirst().run();
        }
      }
    }
  }
}
