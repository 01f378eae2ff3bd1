package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cublas.Cublas;
import dev.heddle.bindings.cublas.cublasLtMatmulAlgo_t;
import dev.heddle.bindings.cublas.cublasLtMatmulHeuristicResult_t;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The cuBLASLt products of one handle, kept by form: searching for an algorithm takes the library
 * tens of microseconds, and descriptors would be garbage of the native kind. A product that is met
 * again costs one look-up. Forms that the library refuses are remembered too.
 */
final class MatmulPlans implements AutoCloseable {
  private static final long ALGORITHM_BYTES = cublasLtMatmulAlgo_t.layout().byteSize();

  private final CublasLibrary library;
  private final long handle;
  private final long workspaceBytes;
  private final int kept;
  private final Map<MatmulForm, MatmulPlan> plans = new LinkedHashMap<>(16, 0.75f, true);
  private final ArrayDeque<Integer> freeSlots = new ArrayDeque<>();
  private final MemorySegment algorithms;
  private final MemorySegment value;
  private final MemorySegment count;
  private final MemorySegment result;
  private long preference;
  private long searches;

  /**
   * @param handle a cuBLASLt handle
   * @param arena keeps the native memory of the plans, and outlives them
   * @param workspaceBytes scratch that algorithms may use
   * @param kept how many forms are kept; the one used longest ago goes first
   */
  MatmulPlans(CublasLibrary library, long handle, Arena arena, long workspaceBytes, int kept) {
    this.library = library;
    this.handle = handle;
    this.workspaceBytes = workspaceBytes;
    this.kept = kept;
    // One more than is kept: the newest is made before the oldest goes.
    algorithms = arena.allocate((kept + 1) * ALGORITHM_BYTES, Long.BYTES);
    for (int slot = 0; slot <= kept; slot++) {
      freeSlots.addLast(slot);
    }
    value = arena.allocate(ValueLayout.JAVA_LONG);
    count = arena.allocate(ValueLayout.JAVA_INT);
    result = arena.allocate(cublasLtMatmulHeuristicResult_t.layout());
  }

  /** How often an algorithm was searched for: constant once a loop is steady. */
  long searches() {
    return searches;
  }

  /** How many forms are kept now. */
  int size() {
    return plans.size();
  }

  /**
   * The plan for {@code form}, with these pointers set in its description.
   *
   * @param bias address of the epilogue's bias, 0 if it has none
   * @param auxiliary address of the epilogue's auxiliary matrix, 0 if it has none
   * @return null if the library cannot compute this form
   */
  @Nullable MatmulPlan plan(MatmulForm form, long bias, long auxiliary) {
    MatmulPlan plan = plans.get(form);
    if (plan == null) {
      plan = make(form.copy(), bias, auxiliary);
      plans.put(plan.form, plan);
      if (plans.size() > kept) {
        Iterator<MatmulPlan> oldestFirst = plans.values().iterator();
        MatmulPlan oldest = oldestFirst.next();
        oldestFirst.remove();
        destroy(oldest);
      }
    } else if (plan.isSupported()) {
      setPointers(plan, bias, auxiliary);
    }
    return plan.isSupported() ? plan : null;
  }

  private void setPointers(MatmulPlan plan, long bias, long auxiliary) {
    if (plan.changesBias(bias)) {
      setLong(plan, Cublas.CUBLASLT_MATMUL_DESC_BIAS_POINTER(), bias);
    }
    if (plan.changesAuxiliary(auxiliary)) {
      setLong(plan, Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER(), auxiliary);
    }
  }

  private MatmulPlan make(MatmulForm form, long bias, long auxiliary) {
    MatmulPlan plan = new MatmulPlan(form, freeSlots.removeFirst());
    boolean complete = false;
    try {
      describe(plan, form);
      if (auxiliary != 0) {
        setLong(plan, Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD(), form.ldd);
      }
      setPointers(plan, bias, auxiliary);
      search(plan);
      complete = true;
    } finally {
      if (!plan.isSupported()) {
        destroyDescriptors(plan);
      }
      if (!complete) {
        freeSlots.addLast(plan.slot);
      }
    }
    return plan;
  }

  private void describe(MatmulPlan plan, MatmulForm form) {
    library.createDescription(value.address(), form.computeType, form.scaleType);
    plan.description = value.get(ValueLayout.JAVA_LONG, 0);
    setInt(plan, Cublas.CUBLASLT_MATMUL_DESC_TRANSA(), form.transposeA);
    setInt(plan, Cublas.CUBLASLT_MATMUL_DESC_TRANSB(), form.transposeB);
    setInt(plan, Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE(), form.epilogue);
    plan.layoutA = layout(form, form.transposeA, form.m, form.k, form.lda);
    plan.layoutB = layout(form, form.transposeB, form.k, form.n, form.ldb);
    plan.layoutD = layout(form, Cublas.CUBLAS_OP_N(), form.m, form.n, form.ldd);
  }

  /** A layout is that of the memory: op([rows,columns]) undone. */
  private long layout(MatmulForm form, int operation, long rows, long columns, long leading) {
    boolean transposed = operation != Cublas.CUBLAS_OP_N();
    library.createLayout(
        value.address(),
        form.type,
        transposed ? columns : rows,
        transposed ? rows : columns,
        leading);
    return value.get(ValueLayout.JAVA_LONG, 0);
  }

  private void search(MatmulPlan plan) {
    MatmulForm form = plan.form;
    if (preference == 0) {
      library.createPreference(value.address());
      preference = value.get(ValueLayout.JAVA_LONG, 0);
      value.set(ValueLayout.JAVA_LONG, 0, workspaceBytes);
      library.setPreference(
          preference,
          Cublas.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES(),
          value.address(),
          Long.BYTES);
    }
    // Sums that are formed in parts are added up in the type of computation, in a fixed order, and
    // never in bf16.
    prefer(
        Cublas.CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK(),
        Cublas.CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE());
    prefer(Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES(), form.alignmentA);
    prefer(Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES(), form.alignmentB);
    prefer(Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES(), form.alignmentD);
    prefer(Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES(), form.alignmentD);
    count.set(ValueLayout.JAVA_INT, 0, 0);
    searches++;
    boolean found =
        library.findAlgorithm(handle, plan, preference, result.address(), count)
            && cublasLtMatmulHeuristicResult_t.state(result) == Cublas.CUBLAS_STATUS_SUCCESS()
            && cublasLtMatmulHeuristicResult_t.workspaceSize(result) <= workspaceBytes;
    if (found) {
      long at = plan.slot * ALGORITHM_BYTES;
      MemorySegment.copy(
          cublasLtMatmulHeuristicResult_t.algo(result), 0, algorithms, at, ALGORITHM_BYTES);
      plan.algorithm = algorithms.address() + at;
    }
  }

  private void prefer(int attribute, int setting) {
    value.set(ValueLayout.JAVA_INT, 0, setting);
    library.setPreference(preference, attribute, value.address(), Integer.BYTES);
  }

  private void setInt(MatmulPlan plan, int attribute, int setting) {
    value.set(ValueLayout.JAVA_INT, 0, setting);
    library.setDescription(plan.description, attribute, value.address(), Integer.BYTES);
  }

  private void setLong(MatmulPlan plan, int attribute, long setting) {
    value.set(ValueLayout.JAVA_LONG, 0, setting);
    library.setDescription(plan.description, attribute, value.address(), Long.BYTES);
  }

  private void destroy(MatmulPlan plan) {
    freeSlots.addLast(plan.slot);
    destroyDescriptors(plan);
  }

  /** Those of a form that is not supported went when that was found out. */
  private void destroyDescriptors(MatmulPlan plan) {
    plan.algorithm = 0;
    if (plan.layoutD != 0) {
      library.destroyLayout(plan.layoutD);
      plan.layoutD = 0;
    }
    if (plan.layoutB != 0) {
      library.destroyLayout(plan.layoutB);
      plan.layoutB = 0;
    }
    if (plan.layoutA != 0) {
      library.destroyLayout(plan.layoutA);
      plan.layoutA = 0;
    }
    if (plan.description != 0) {
      library.destroyDescription(plan.description);
      plan.description = 0;
    }
  }

  @Override
  public void close() {
    for (MatmulPlan plan : plans.values()) {
      destroy(plan);
    }
    plans.clear();
    if (preference != 0) {
      library.destroyPreference(preference);
      preference = 0;
    }
  }
}
