package dev.heddle.runtime.cpu;

import dev.heddle.bindings.onednn.OneDnn;
import dev.heddle.bindings.onednn.dnnl_exec_arg_t;
import dev.heddle.runtime.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Batched matrix products by oneDNN's matmul primitive, F32 or bf16 in, F32 or bf16 out. Making a
 * primitive generates code and takes milliseconds, so primitives are kept by shape; executing one
 * only changes where its operands lie.
 *
 * <p>A primitive's scratch memory is its own, so two threads may not execute the same one: each
 * thread has its primitives, by {@link #ofThisThread()}.
 */
final class OneDnnMatmul {
  /** Primitives that a thread keeps; the one used longest ago goes first. */
  private static final int KEPT = 256;

  private static final int OPERANDS = 3;

  /** What is added to a product while it is in registers, before it is rounded. */
  enum Addend {
    /** Nothing. */
    NOTHING,
    /** What c holds already. */
    RESULT,
    /** One value a column, of the type of a and b. */
    BIAS
  }

  private static final ThreadLocal<OneDnnMatmul> OF_THREAD =
      ThreadLocal.withInitial(OneDnnMatmul::new);

  /**
   * The shape of a product c [batch,rows,columns] = a b; strides count elements.
   *
   * @param in type of a and b
   * @param out type of c
   * @param aStrides steps of a [batch,rows,depth] along each dim; transposition is in them
   * @param bStrides steps of b [batch,depth,columns]
   * @param cStrides steps of c
   * @param addend what is added
   */
  record Form(
      DType in,
      DType out,
      long batch,
      long rows,
      long columns,
      long depth,
      Steps aStrides,
      Steps bStrides,
      Steps cStrides,
      Addend addend) {
    /** A product that nothing is added to. */
    Form(
        DType in,
        DType out,
        long batch,
        long rows,
        long columns,
        long depth,
        Steps aStrides,
        Steps bStrides,
        Steps cStrides) {
      this(in, out, batch, rows, columns, depth, aStrides, bStrides, cStrides, Addend.NOTHING);
    }
  }

  /** Steps along batch, row and column. */
  record Steps(long batch, long row, long column) {
    /** Of row-major matrices as they lie in memory, seen transposed where asked. */
    static Steps of(long batch, long memoryRow, boolean transposed) {
      return transposed ? new Steps(batch, 1, memoryRow) : new Steps(batch, memoryRow, 1);
    }
  }

  /** A primitive with the memory objects that its operands are set in. */
  private record Compiled(
      MemorySegment primitive, MemorySegment[] memories, MemorySegment arguments) {}

  private final Arena arena = Arena.ofAuto();
  private final MemorySegment engine;
  private final MemorySegment stream;
  private final Map<Form, Compiled> compiled = new LinkedHashMap<>(16, 0.75f, true);

  private OneDnnMatmul() {
    OneDnnMultiply.useOneThreadHere();
    try (Arena temporary = Arena.ofConfined()) {
      MemorySegment handle = temporary.allocate(ValueLayout.ADDRESS);
      check("dnnl_engine_create", OneDnn.dnnl_engine_create(handle, OneDnn.dnnl_cpu(), 0));
      engine = handle.get(ValueLayout.ADDRESS, 0);
      check(
          "dnnl_stream_create",
          OneDnn.dnnl_stream_create(handle, engine, OneDnn.dnnl_stream_default_flags()));
      stream = handle.get(ValueLayout.ADDRESS, 0);
    }
  }

  /** The primitives of the calling thread. */
  static OneDnnMatmul ofThisThread() {
    return OF_THREAD.get();
  }

  /** Whether the processor multiplies bf16 by instructions; else F32 by conversion is faster. */
  static boolean multipliesBf16() {
    int wanted = OneDnn.dnnl_cpu_isa_avx512_core_bf16();
    return (OneDnn.dnnl_get_effective_cpu_isa() & wanted) == wanted;
  }

  /** How many primitives this thread keeps now. */
  int keptPrimitives() {
    return compiled.size();
  }

  /** {@link #multiply(Form, long, long, long, long)} of a form without a bias. */
  void multiply(Form form, long a, long b, long c) {
    multiply(form, a, b, c, 0);
  }

  /**
   * Computes c = a b, and adds what the form says.
   *
   * @param bias address of the bias; not used where the form has none
   * @throws IllegalStateException naming the call and the form if the library refuses
   */
  void multiply(Form form, long a, long b, long c, long bias) {
    Compiled ready = compiled.get(form);
    if (ready == null) {
      ready = compile(form);
      compiled.put(form, ready);
      if (compiled.size() > KEPT) {
        Iterator<Compiled> oldestFirst = compiled.values().iterator();
        Compiled oldest = oldestFirst.next();
        oldestFirst.remove();
        destroy(oldest);
      }
    }
    setOperand(ready.memories[0], a);
    setOperand(ready.memories[1], b);
    setOperand(ready.memories[2], c);
    if (form.addend == Addend.BIAS) {
      setOperand(ready.memories[OPERANDS], bias);
    }
    check(
        "dnnl_primitive_execute",
        OneDnn.dnnl_primitive_execute(
            ready.primitive, stream, ready.memories.length, ready.arguments));
    check("dnnl_stream_wait", OneDnn.dnnl_stream_wait(stream));
  }

  private static void setOperand(MemorySegment memory, long address) {
    check(
        "dnnl_memory_set_data_handle",
        OneDnn.dnnl_memory_set_data_handle(memory, MemorySegment.ofAddress(address)));
  }

  private Compiled compile(Form form) {
    try (Arena temporary = Arena.ofConfined()) {
      MemorySegment handle = temporary.allocate(ValueLayout.ADDRESS);
      boolean biased = form.addend == Addend.BIAS;
      int operands = biased ? OPERANDS + 1 : OPERANDS;
      MemorySegment[] descriptors = new MemorySegment[operands];
      descriptors[0] =
          describe(temporary, form.batch, form.rows, form.depth, form.in, form.aStrides);
      descriptors[1] =
          describe(temporary, form.batch, form.depth, form.columns, form.in, form.bStrides);
      descriptors[2] =
          describe(temporary, form.batch, form.rows, form.columns, form.out, form.cStrides);
      if (biased) {
        Steps steps = new Steps(form.columns, form.columns, 1);
        descriptors[OPERANDS] = describe(temporary, 1, 1, form.columns, form.in, steps);
      }
      MemorySegment attributes = attributes(form, handle);
      check(
          "dnnl_matmul_primitive_desc_create of " + form,
          OneDnn.dnnl_matmul_primitive_desc_create(
              handle,
              engine,
              descriptors[0],
              descriptors[1],
              biased ? descriptors[OPERANDS] : MemorySegment.NULL,
              descriptors[2],
              attributes == null ? MemorySegment.NULL : attributes));
      MemorySegment description = handle.get(ValueLayout.ADDRESS, 0);
      if (attributes != null) {
        check("dnnl_primitive_attr_destroy", OneDnn.dnnl_primitive_attr_destroy(attributes));
      }
      check("dnnl_primitive_create", OneDnn.dnnl_primitive_create(handle, description));
      MemorySegment primitive = handle.get(ValueLayout.ADDRESS, 0);
      check("dnnl_primitive_desc_destroy", OneDnn.dnnl_primitive_desc_destroy(description));

      int[] roles = {
        OneDnn.DNNL_ARG_SRC(),
        OneDnn.DNNL_ARG_WEIGHTS(),
        OneDnn.DNNL_ARG_DST(),
        OneDnn.DNNL_ARG_BIAS()
      };
      MemorySegment[] memories = new MemorySegment[operands];
      MemorySegment arguments = dnnl_exec_arg_t.allocateArray(operands, arena);
      for (int i = 0; i < operands; i++) {
        check(
            "dnnl_memory_create",
            OneDnn.dnnl_memory_create(handle, descriptors[i], engine, MemorySegment.NULL));
        memories[i] = handle.get(ValueLayout.ADDRESS, 0);
        check("dnnl_memory_desc_destroy", OneDnn.dnnl_memory_desc_destroy(descriptors[i]));
        MemorySegment argument = dnnl_exec_arg_t.asSlice(arguments, i);
        dnnl_exec_arg_t.arg(argument, roles[i]);
        dnnl_exec_arg_t.memory(argument, memories[i]);
      }
      return new Compiled(primitive, memories, arguments);
    }
  }

  /** Attributes that have the result added, or null where nothing is. */
  private static @Nullable MemorySegment attributes(Form form, MemorySegment handle) {
    if (form.addend != Addend.RESULT) {
      return null;
    }
    check("dnnl_post_ops_create", OneDnn.dnnl_post_ops_create(handle));
    MemorySegment after = handle.get(ValueLayout.ADDRESS, 0);
    check(
        "dnnl_post_ops_append_sum",
        OneDnn.dnnl_post_ops_append_sum(after, 1, 0, OneDnn.dnnl_data_type_undef()));
    check("dnnl_primitive_attr_create", OneDnn.dnnl_primitive_attr_create(handle));
    MemorySegment attributes = handle.get(ValueLayout.ADDRESS, 0);
    check(
        "dnnl_primitive_attr_set_post_ops",
        OneDnn.dnnl_primitive_attr_set_post_ops(attributes, after));
    check("dnnl_post_ops_destroy", OneDnn.dnnl_post_ops_destroy(after));
    return attributes;
  }

  private static MemorySegment describe(
      Arena temporary, long batch, long rows, long columns, DType dtype, Steps steps) {
    MemorySegment handle = temporary.allocate(ValueLayout.ADDRESS);
    MemorySegment dims = temporary.allocateFrom(ValueLayout.JAVA_LONG, batch, rows, columns);
    MemorySegment strides =
        temporary.allocateFrom(ValueLayout.JAVA_LONG, steps.batch, steps.row, steps.column);
    int type = dtype == DType.BF16 ? OneDnn.dnnl_bf16() : OneDnn.dnnl_f32();
    check(
        "dnnl_memory_desc_create_with_strides",
        OneDnn.dnnl_memory_desc_create_with_strides(handle, OPERANDS, dims, type, strides));
    return handle.get(ValueLayout.ADDRESS, 0);
  }

  private static void destroy(Compiled old) {
    check("dnnl_primitive_destroy", OneDnn.dnnl_primitive_destroy(old.primitive));
    for (MemorySegment memory : old.memories) {
      check("dnnl_memory_destroy", OneDnn.dnnl_memory_destroy(memory));
    }
  }

  private static void check(String call, int status) {
    if (status != OneDnn.dnnl_success()) {
      throw new IllegalStateException("oneDNN: " + call + " returned status " + status);
    }
  }
}
