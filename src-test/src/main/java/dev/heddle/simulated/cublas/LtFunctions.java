package dev.heddle.simulated.cublas;

import static java.util.Map.entry;

import dev.heddle.bindings.cublas.Cublas;
import dev.heddle.bindings.cublas.cublasLtMatmulHeuristicResult_t;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The functions of cuBLASLt, by their C names and with their C arguments, pointers as numbers. Each
 * returns a status or throws a {@link Refusal}.
 */
final class LtFunctions {
  /** The sizes of the attributes, as the real library of version 12.4.5 tells them. */
  private static final Map<Integer, Integer> DESCRIPTION =
      Map.ofEntries(
          entry(Cublas.CUBLASLT_MATMUL_DESC_COMPUTE_TYPE(), 4),
          entry(Cublas.CUBLASLT_MATMUL_DESC_SCALE_TYPE(), 4),
          entry(Cublas.CUBLASLT_MATMUL_DESC_POINTER_MODE(), 4),
          entry(Cublas.CUBLASLT_MATMUL_DESC_TRANSA(), 4),
          entry(Cublas.CUBLASLT_MATMUL_DESC_TRANSB(), 4),
          entry(Cublas.CUBLASLT_MATMUL_DESC_TRANSC(), 4),
          entry(Cublas.CUBLASLT_MATMUL_DESC_FILL_MODE(), 4),
          entry(Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE(), 4),
          entry(Cublas.CUBLASLT_MATMUL_DESC_BIAS_POINTER(), 8),
          entry(Cublas.CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE(), 8),
          entry(Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER(), 8),
          entry(Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD(), 8),
          entry(Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE(), 8),
          entry(Cublas.CUBLASLT_MATMUL_DESC_ALPHA_VECTOR_BATCH_STRIDE(), 8),
          entry(Cublas.CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET(), 4),
          entry(Cublas.CUBLASLT_MATMUL_DESC_A_SCALE_POINTER(), 8),
          entry(Cublas.CUBLASLT_MATMUL_DESC_B_SCALE_POINTER(), 8),
          entry(Cublas.CUBLASLT_MATMUL_DESC_C_SCALE_POINTER(), 8),
          entry(Cublas.CUBLASLT_MATMUL_DESC_D_SCALE_POINTER(), 8),
          entry(Cublas.CUBLASLT_MATMUL_DESC_AMAX_D_POINTER(), 8),
          entry(Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE(), 4),
          entry(Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_SCALE_POINTER(), 8),
          entry(Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_AMAX_POINTER(), 8),
          entry(Cublas.CUBLASLT_MATMUL_DESC_FAST_ACCUM(), 1),
          entry(Cublas.CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE(), 4));

  private static final Map<Integer, Integer> LAYOUT =
      Map.of(
          Cublas.CUBLASLT_MATRIX_LAYOUT_TYPE(), 4,
          Cublas.CUBLASLT_MATRIX_LAYOUT_ORDER(), 4,
          Cublas.CUBLASLT_MATRIX_LAYOUT_ROWS(), 8,
          Cublas.CUBLASLT_MATRIX_LAYOUT_COLS(), 8,
          Cublas.CUBLASLT_MATRIX_LAYOUT_LD(), 8,
          Cublas.CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT(), 4,
          Cublas.CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET(), 8,
          Cublas.CUBLASLT_MATRIX_LAYOUT_PLANE_OFFSET(), 8);

  private static final Map<Integer, Integer> PREFERENCE =
      Map.of(
          Cublas.CUBLASLT_MATMUL_PREF_SEARCH_MODE(), 4,
          Cublas.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES(), 8,
          Cublas.CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK(), 4,
          Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES(), 4,
          Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES(), 4,
          Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES(), 4,
          Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES(), 4,
          Cublas.CUBLASLT_MATMUL_PREF_MAX_WAVES_COUNT(), 4,
          Cublas.CUBLASLT_MATMUL_PREF_IMPL_MASK(), 8);

  private static final int USUAL_ALIGNMENT = 256;
  private static final long WORKSPACE_ALIGNMENT = 16;
  private static final long AUXILIARY_ALIGNMENT = 16;
  private static final long AUXILIARY_MULTIPLE = 8;

  /** Marks the bytes of an algorithm that this library gave out. */
  private static final long ALGORITHM_MARK = 0x5e1f_a190_0000_c0b1L;

  /** Inner sizes from which algorithms cut their sums in parts and want workspace. */
  private static final long CUTS_SUMS_FROM = 64;

  private final GpuAccess gpu;
  private final ObjectTable<Integer> handles;
  private final ObjectTable<Attributes> descriptions;
  private final ObjectTable<Attributes> layouts;
  private final ObjectTable<Attributes> preferences;
  private final List<Algorithm> algorithms = new ArrayList<>();
  private final Set<Integer> withoutAlgorithm = new HashSet<>();

  LtFunctions(GpuAccess gpu, Arena arena) {
    this.gpu = gpu;
    this.handles = new ObjectTable<>("cublasLtHandle_t", arena);
    this.descriptions = new ObjectTable<>("cublasLtMatmulDesc_t", arena);
    this.layouts = new ObjectTable<>("cublasLtMatrixLayout_t", arena);
    this.preferences = new ObjectTable<>("cublasLtMatmulPreference_t", arena);
  }

  /** Handles and descriptors that were not destroyed. */
  int liveObjects() {
    return handles.size() + descriptions.size() + layouts.size() + preferences.size();
  }

  void forgetLiveObjects() {
    handles.clear();
    descriptions.clear();
    layouts.clear();
    preferences.clear();
  }

  /** From now on there is no algorithm for products with this epilogue. */
  synchronized void refuseEpilogue(int epilogue) {
    withoutAlgorithm.add(epilogue);
  }

  int cublasLtCreate(long result) {
    handles.create(result, BlasFunctions.currentDevice(gpu));
    return 0;
  }

  int cublasLtDestroy(long handle) {
    Refusal.unless(handle != 0, "the handle is null");
    handles.destroy(handle);
    return 0;
  }

  int cublasLtMatmulDescCreate(long result, int computeType, int scaleType) {
    descriptions.create(
        result,
        new Attributes("cublasLtMatmulDesc_t", DESCRIPTION)
            .with(Cublas.CUBLASLT_MATMUL_DESC_COMPUTE_TYPE(), computeType)
            .with(Cublas.CUBLASLT_MATMUL_DESC_SCALE_TYPE(), scaleType)
            .with(Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE(), Cublas.CUBLASLT_EPILOGUE_DEFAULT())
            .with(Cublas.CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE(), -1)
            .with(Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE(), -1));
    return 0;
  }

  /** Destroying nothing succeeds, as it does in the real library. */
  int cublasLtMatmulDescDestroy(long description) {
    if (description != 0) {
      descriptions.destroy(description);
    }
    return 0;
  }

  int cublasLtMatmulDescSetAttribute(long description, int attribute, long buffer, long byteSize) {
    descriptions.get(description).set(attribute, buffer, byteSize);
    return 0;
  }

  int cublasLtMatmulDescGetAttribute(
      long description, int attribute, long buffer, long byteSize, long written) {
    descriptions.get(description).get(attribute, buffer, byteSize, written);
    return 0;
  }

  int cublasLtMatrixLayoutCreate(long result, int type, long rows, long columns, long leading) {
    layouts.create(
        result,
        new Attributes("cublasLtMatrixLayout_t", LAYOUT)
            .with(Cublas.CUBLASLT_MATRIX_LAYOUT_TYPE(), type)
            .with(Cublas.CUBLASLT_MATRIX_LAYOUT_ROWS(), rows)
            .with(Cublas.CUBLASLT_MATRIX_LAYOUT_COLS(), columns)
            .with(Cublas.CUBLASLT_MATRIX_LAYOUT_LD(), leading)
            .with(Cublas.CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT(), 1));
    return 0;
  }

  int cublasLtMatrixLayoutDestroy(long layout) {
    if (layout != 0) {
      layouts.destroy(layout);
    }
    return 0;
  }

  int cublasLtMatrixLayoutSetAttribute(long layout, int attribute, long buffer, long byteSize) {
    layouts.get(layout).set(attribute, buffer, byteSize);
    return 0;
  }

  int cublasLtMatrixLayoutGetAttribute(
      long layout, int attribute, long buffer, long byteSize, long written) {
    layouts.get(layout).get(attribute, buffer, byteSize, written);
    return 0;
  }

  int cublasLtMatmulPreferenceCreate(long result) {
    preferences.create(
        result,
        new Attributes("cublasLtMatmulPreference_t", PREFERENCE)
            .with(
                Cublas.CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK(),
                Cublas.CUBLASLT_REDUCTION_SCHEME_MASK())
            .with(Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES(), USUAL_ALIGNMENT)
            .with(Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES(), USUAL_ALIGNMENT)
            .with(Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES(), USUAL_ALIGNMENT)
            .with(Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES(), USUAL_ALIGNMENT)
            .with(Cublas.CUBLASLT_MATMUL_PREF_IMPL_MASK(), -1));
    return 0;
  }

  int cublasLtMatmulPreferenceDestroy(long preference) {
    if (preference != 0) {
      preferences.destroy(preference);
    }
    return 0;
  }

  int cublasLtMatmulPreferenceSetAttribute(
      long preference, int attribute, long buffer, long byteSize) {
    preferences.get(preference).set(attribute, buffer, byteSize);
    return 0;
  }

  int cublasLtMatmulPreferenceGetAttribute(
      long preference, int attribute, long buffer, long byteSize, long written) {
    preferences.get(preference).get(attribute, buffer, byteSize, written);
    return 0;
  }

  synchronized int cublasLtMatmulAlgoGetHeuristic(
      long handle,
      long description,
      long layoutA,
      long layoutB,
      long layoutC,
      long layoutD,
      long preference,
      int requested,
      long results,
      long count) {
    checkHandle(handle);
    Refusal.unless(requested > 0, "%d results are requested", requested);
    Refusal.unless(results != 0 && count != 0, "a result pointer is null");
    MemorySegment found = MemorySegment.ofAddress(count).reinterpret(Integer.BYTES);
    found.set(ValueLayout.JAVA_INT_UNALIGNED, 0, 0);
    Attributes how = descriptions.get(description);
    Attributes wanted = preferences.get(preference);
    Algorithm.Form form = form(how, layoutA, layoutB, layoutC, layoutD);
    checkForm(how, form);
    if (withoutAlgorithm.contains(form.epilogue())) {
      throw Refusal.unsupported("no algorithm for epilogue %d", form.epilogue());
    }
    long workspace = wanted.get(Cublas.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES());
    long depth = form.transposeA() == 0 ? form.a().columns() : form.a().rows();
    long parts = 2 * form.d().rows() * form.d().columns() * Float.BYTES;
    long needed = depth >= CUTS_SUMS_FROM && parts <= workspace ? parts : 0;
    long alignmentC = alignment(wanted, Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES());
    long alignmentD = alignment(wanted, Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES());
    algorithms.add(
        new Algorithm(
            form,
            alignment(wanted, Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES()),
            alignment(wanted, Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES()),
            Math.max(alignmentC, alignmentD),
            needed));
    MemorySegment result =
        MemorySegment.ofAddress(results)
            .reinterpret(cublasLtMatmulHeuristicResult_t.layout().byteSize());
    result.fill((byte) 0);
    MemorySegment bytes = cublasLtMatmulHeuristicResult_t.algo(result);
    bytes.set(ValueLayout.JAVA_LONG_UNALIGNED, 0, ALGORITHM_MARK);
    bytes.set(ValueLayout.JAVA_LONG_UNALIGNED, Long.BYTES, algorithms.size() - 1L);
    cublasLtMatmulHeuristicResult_t.workspaceSize(result, needed);
    cublasLtMatmulHeuristicResult_t.state(result, 0);
    cublasLtMatmulHeuristicResult_t.wavesCount(result, 1);
    found.set(ValueLayout.JAVA_INT_UNALIGNED, 0, 1);
    return 0;
  }

  private void checkHandle(long handle) {
    int device = handles.get(handle);
    int current = gpu.currentDevice();
    Refusal.unless(
        current == device,
        "the handle is GPU %d's, and the current context is that of %d",
        device,
        current);
  }

  private static long alignment(Attributes preference, int attribute) {
    int alignment = preference.getInt(attribute);
    Refusal.unless(
        Integer.bitCount(alignment) == 1 && alignment > 0,
        "an alignment of %d bytes; wanted a power of two",
        alignment);
    return alignment;
  }

  private Algorithm.Form form(
      Attributes how, long layoutA, long layoutB, long layoutC, long layoutD) {
    Algorithm.LayoutForm c = layoutForm("C", layoutC);
    Algorithm.LayoutForm d = layoutForm("D", layoutD);
    Refusal.unless(c.equals(d), "C is %s, D is %s; only one matrix is simulated", c, d);
    return new Algorithm.Form(
        how.getInt(Cublas.CUBLASLT_MATMUL_DESC_COMPUTE_TYPE()),
        how.getInt(Cublas.CUBLASLT_MATMUL_DESC_TRANSA()),
        how.getInt(Cublas.CUBLASLT_MATMUL_DESC_TRANSB()),
        how.getInt(Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE()),
        layoutForm("A", layoutA),
        layoutForm("B", layoutB),
        d);
  }

  private Algorithm.LayoutForm layoutForm(String name, long address) {
    Attributes layout = layouts.get(address);
    Refusal.unless(
        layout.getInt(Cublas.CUBLASLT_MATRIX_LAYOUT_ORDER()) == Cublas.CUBLASLT_ORDER_COL(),
        "%s is not column-major",
        name);
    Refusal.unless(
        layout.getInt(Cublas.CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT()) == 1,
        "%s has a batch, which is not simulated",
        name);
    return new Algorithm.LayoutForm(
        layout.getInt(Cublas.CUBLASLT_MATRIX_LAYOUT_TYPE()),
        layout.get(Cublas.CUBLASLT_MATRIX_LAYOUT_ROWS()),
        layout.get(Cublas.CUBLASLT_MATRIX_LAYOUT_COLS()),
        layout.get(Cublas.CUBLASLT_MATRIX_LAYOUT_LD()));
  }

  /** Checks what a product's form and description say, addresses of A, B and D aside. */
  private static void checkForm(Attributes how, Algorithm.Form form) {
    // Any address does that the checks accept: the form has none.
    product(how, form, USUAL_ALIGNMENT, USUAL_ALIGNMENT, USUAL_ALIGNMENT, 1, 0, 0, 0).check();
  }

  int cublasLtMatmul(
      long handle,
      long description,
      long alpha,
      long a,
      long layoutA,
      long b,
      long layoutB,
      long beta,
      long c,
      long layoutC,
      long d,
      long layoutD,
      long algorithm,
      long workspace,
      long workspaceBytes,
      long stream) {
    checkHandle(handle);
    Attributes how = descriptions.get(description);
    Algorithm.Form form = form(how, layoutA, layoutB, layoutC, layoutD);
    Refusal.unless(c == d, "C at 0x%x is not D at 0x%x; only one matrix is simulated", c, d);
    Algorithm chosen = algorithm(algorithm);
    if (!chosen.form().equals(form)) {
      throw Refusal.unsupported("the algorithm was found for %s, not for %s", chosen.form(), form);
    }
    checkAlignment("A", a, chosen.alignmentA());
    checkAlignment("B", b, chosen.alignmentB());
    checkAlignment("D", d, chosen.alignmentD());
    Refusal.unless(
        workspaceBytes >= chosen.workspaceBytes(),
        "the algorithm needs a workspace of %d bytes, there are %d",
        chosen.workspaceBytes(),
        workspaceBytes);
    Refusal.unless(
        workspace % WORKSPACE_ALIGNMENT == 0,
        "the workspace at 0x%x is not aligned to %d bytes",
        workspace,
        WORKSPACE_ALIGNMENT);
    ElementType scale = ElementType.of(how.getInt(Cublas.CUBLASLT_MATMUL_DESC_SCALE_TYPE()));
    double alphaValue = scale.scalar(alpha, "alpha");
    double betaValue = scale.scalar(beta, "beta");
    Product product =
        product(how, form, a, b, d, alphaValue, betaValue, workspace, chosen.workspaceBytes());
    product.check();
    return product.enqueue(gpu, stream);
  }

  private static void checkAlignment(String name, long address, long alignment) {
    if (address % alignment != 0) {
      throw Refusal.unsupported(
          "%s at 0x%x: the algorithm was found for addresses aligned to %d bytes",
          name, address, alignment);
    }
  }

  private synchronized Algorithm algorithm(long address) {
    Refusal.unless(address != 0, "no algorithm; wanted one that the heuristic found");
    MemorySegment bytes = MemorySegment.ofAddress(address).reinterpret(2 * Long.BYTES);
    long index = bytes.get(ValueLayout.JAVA_LONG_UNALIGNED, Long.BYTES);
    Refusal.unless(
        bytes.get(ValueLayout.JAVA_LONG_UNALIGNED, 0) == ALGORITHM_MARK
            && index >= 0
            && index < algorithms.size(),
        "the bytes at 0x%x are no algorithm that was found",
        address);
    return algorithms.get((int) index);
  }

  private static Product product(
      Attributes how,
      Algorithm.Form form,
      long a,
      long b,
      long d,
      double alpha,
      double beta,
      long workspace,
      long workspaceBytes) {
    Matrix matrixA = matrix("A", form.a(), a);
    Matrix matrixB = matrix("B", form.b(), b);
    Matrix matrixD = matrix("D", form.d(), d);
    ComputeType computeType =
        ComputeType.of(form.computeType(), matrixA.type(), matrixB.type(), matrixD.type());
    ElementType scale = ElementType.of(how.getInt(Cublas.CUBLASLT_MATMUL_DESC_SCALE_TYPE()));
    ElementType wanted = computeType == ComputeType.F64 ? ElementType.F64 : ElementType.F32;
    if (scale != wanted) {
      throw Refusal.unsupported("compute type %s with scale type %s", computeType, scale);
    }
    Refusal.unless(
        how.getInt(Cublas.CUBLASLT_MATMUL_DESC_POINTER_MODE())
            == Cublas.CUBLASLT_POINTER_MODE_HOST(),
        "only host pointers to alpha and beta are simulated");
    Epilogue epilogue = Epilogue.of(form.epilogue());
    if (computeType == ComputeType.F64 && !epilogue.isDefault()) {
      throw Refusal.unsupported("compute type F64 has no epilogues");
    }
    return new Product(
        "cublasLtMatmul",
        computeType,
        matrixA,
        BlasFunctions.transposed("TRANSA", form.transposeA()),
        matrixB,
        BlasFunctions.transposed("TRANSB", form.transposeB()),
        matrixD,
        alpha,
        beta,
        1,
        0,
        0,
        0,
        epilogue,
        epilogue.usesBias() ? bias(how, epilogue, matrixD) : null,
        epilogue.keeps() ? auxiliary(how, matrixD) : null,
        workspace,
        workspaceBytes);
  }

  private static Matrix matrix(String name, Algorithm.LayoutForm layout, long address) {
    return new Matrix(
        name,
        ElementType.of(layout.type()),
        address,
        layout.rows(),
        layout.columns(),
        layout.leading());
  }

  private static Matrix bias(Attributes how, Epilogue epilogue, Matrix d) {
    long address = how.get(Cublas.CUBLASLT_MATMUL_DESC_BIAS_POINTER());
    Refusal.unless(address != 0, "the epilogue uses a bias, and its pointer is null");
    long length = epilogue.gradient() == Epilogue.Gradient.B ? d.columns() : d.rows();
    ElementType type = type(how, Cublas.CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE(), d);
    return new Matrix("bias", type, address, length, 1, length);
  }

  private static Matrix auxiliary(Attributes how, Matrix d) {
    long address = how.get(Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER());
    long leading = how.get(Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD());
    Refusal.unless(
        address != 0 && address % AUXILIARY_ALIGNMENT == 0,
        "the auxiliary matrix at 0x%x is null or not aligned to %d bytes",
        address,
        AUXILIARY_ALIGNMENT);
    Refusal.unless(
        leading % AUXILIARY_MULTIPLE == 0,
        "the auxiliary's leading dimension is %d; wanted a multiple of %d",
        leading,
        AUXILIARY_MULTIPLE);
    ElementType type = type(how, Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE(), d);
    return new Matrix("auxiliary", type, address, d.rows(), d.columns(), leading);
  }

  /** A data type attribute; -1 stands for that of D. */
  private static ElementType type(Attributes how, int attribute, Matrix d) {
    int code = how.getInt(attribute);
    return code == -1 ? d.type() : ElementType.of(code);
  }
}
