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
   * @param packed whether b is read in an order of the library's own, as {@link #pack} writes it
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
      Addend addend,
      boolean packed) {
    /** A product of operands as they lie, that nothing is added to. */
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
      this(
          in,
          out,
          batch,
          rows,
          columns,
          depth,
          aStrides,
          bStrides,
          cStrides,
          Addend.NOTHING,
          false);
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
      MemorySegment primitive,
      MemorySegment[] memories,
      MemorySegment arguments,
      @Nullable Packing packing) {}

  /** What brings b into the order of a product, and the bytes that it then has. */
  private record Packing(Compiled reorder, long byteSize) {}

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
    Compiled ready = ready(form);
    setOperand(ready.memories[0], a);
    setOperand(ready.memories[1], b);
    setOperand(ready.memories[2], c);
    if (form.addend == Addend.BIAS) {
      setOperand(ready.memories[OPERANDS], bias);
    }
    execute(ready);
  }

  /** Bytes of b in the order of a packed form. */
  long packedBytes(Form form) {
    return packing(form).byteSize;
  }

  /**
   * Brings b, which lies as the form says, into the order in which products of that form read it.
   *
   * @param packed where it goes: {@link #packedBytes} bytes
   */
  void pack(Form form, long b, long packed) {
    Compiled reorder = packing(form).reorder;
    setOperand(reorder.memories[0], b);
    setOperand(reorder.memories[1], packed);
    execute(reorder);
  }

  private Packing packing(Form form) {
    Packing packing = ready(form).packing;
    if (packing == null) {
      throw new IllegalArgumentException("OneDnnMatmul: b is not packed in " + form);
    }
    return packing;
  }

  private Compiled ready(Form form) {
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
    return ready;
  }

  private void execute(Compiled ready) {
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
      MemorySegment plain =
          describe(temporary, form.batch, form.depth, form.columns, form.in, form.bStrides);
      descriptors[1] = form.packed ? anyOrder(temporary, form) : plain;
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
      Packing packing = null;
      MemorySegment any = descriptors[1];
      if (form.packed) {
        // Belongs to the description of the primitive.
        descriptors[1] =
            OneDnn.dnnl_primitive_desc_query_md(description, OneDnn.dnnl_query_weights_md(), 0);
        packing = packing(handle, plain, descriptors[1]);
      }
      int[] roles = {
        OneDnn.DNNL_ARG_SRC(),
        OneDnn.DNNL_ARG_WEIGHTS(),
        OneDnn.DNNL_ARG_DST(),
        OneDnn.DNNL_ARG_BIAS()
      };
      Compiled result = primitive(handle, description, descriptors, roles, packing);
      check("dnnl_primitive_desc_destroy", OneDnn.dnnl_primitive_desc_destroy(description));
      descriptors[1] = plain;
      for (MemorySegment descriptor : descriptors) {
        check("dnnl_memory_desc_destroy", OneDnn.dnnl_memory_desc_destroy(descriptor));
      }
      if (form.packed) {
        check("dnnl_memory_desc_destroy", OneDnn.dnnl_memory_desc_destroy(any));
      }
      return result;
    }
  }

  private Packing packing(MemorySegment handle, MemorySegment from, MemorySegment to) {
    check(
        "dnnl_reorder_primitive_desc_create",
        OneDnn.dnnl_reorder_primitive_desc_create(
            handle, from, engine, to, engine, MemorySegment.NULL));
    MemorySegment description = handle.get(ValueLayout.ADDRESS, 0);
    int[] roles = {OneDnn.DNNL_ARG_FROM(), OneDnn.DNNL_ARG_TO()};
    MemorySegment[] descriptors = {from, to};
    Compiled reorder = primitive(handle, description, descriptors, roles, null);
    check("dnnl_primitive_desc_destroy", OneDnn.dnnl_primitive_desc_destroy(description));
    return new Packing(reorder, OneDnn.dnnl_memory_desc_get_size(to));
  }

  private Compiled primitive(
      MemorySegment handle,
      MemorySegment description,
      MemorySegment[] descriptors,
      int[] roles,
      @Nullable Packing packing) {
    check("dnnl_primitive_create", OneDnn.dnnl_primitive_create(handle, description));
    MemorySegment primitive = handle.get(ValueLayout.ADDRESS, 0);
    MemorySegment[] memories = new MemorySegment[descriptors.length];
    MemorySegment arguments = dnnl_exec_arg_t.allocateArray(descriptors.length, arena);
    for (int i = 0; i < descriptors.length; i++) {
      check(
          "dnnl_memory_create",
          OneDnn.dnnl_memory_create(handle, descriptors[i], engine, MemorySegment.NULL));
      memories[i] = handle.get(ValueLayout.ADDRESS, 0);
      MemorySegment argument = dnnl_exec_arg_t.asSlice(arguments, i);
      dnnl_exec_arg_t.arg(argument, roles[i]);
      dnnl_exec_arg_t.memory(argument, memories[i]);
    }
    return new Compiled(primitive, memories, arguments, packing);
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

  /** B in whatever order the library likes best. */
  private static MemorySegment anyOrder(Arena temporary, Form form) {
    MemorySegment handle = temporary.allocate(ValueLayout.ADDRESS);
    MemorySegment dims =
        temporary.allocateFrom(ValueLayout.JAVA_LONG, form.batch, form.depth, form.columns);
    check(
        "dnnl_memory_desc_create_with_tag",
        OneDnn.dnnl_memory_desc_create_with_tag(
            handle, OPERANDS, dims, type(form.in), OneDnn.dnnl_format_tag_any()));
    return handle.get(ValueLayout.ADDRESS, 0);
  }

  private static int type(DType dtype) {
    return dtype == DType.BF16 ? OneDnn.dnnl_bf16() : OneDnn.dnnl_f32();
  }

  private static MemorySegment describe(
      Arena temporary, long batch, long rows, long columns, DType dtype, Steps steps) {
    MemorySegment handle = temporary.allocate(ValueLayout.ADDRESS);
    MemorySegment dims = temporary.allocateFrom(ValueLayout.JAVA_LONG, batch, rows, columns);
    MemorySegment strides =
        temporary.allocateFrom(ValueLayout.JAVA_LONG, steps.batch, steps.row, steps.column);
    check(
        "dnnl_memory_desc_create_with_strides",
        OneDnn.dnnl_memory_desc_create_with_strides(handle, OPERANDS, dims, type(dtype), strides));
    return handle.get(ValueLayout.ADDRESS, 0);
  }

  private static void destroy(Compiled old) {
    check("dnnl_primitive_destroy", OneDnn.dnnl_primitive_destroy(old.primitive));
    for (MemorySegment memory : old.memories) {
      check("dnnl_memory_destroy", OneDnn.dnnl_memory_destroy(memory));
    }
    if (old.packing != null) {
      destroy(old.packing.reorder);
    }
  }

  private static void check(String call, int status) {
    if (status != OneDnn.dnnl_success()) {
      throw new IllegalStateException("oneDNN: " + call + " returned status " + status);
    }
  }
}
