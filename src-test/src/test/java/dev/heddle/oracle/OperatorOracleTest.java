package dev.heddle.oracle;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every operator, forward and backward, equals libtorch's. */
class OperatorOracleTest {
  private static CpuDevice reference;
  private static CpuDevice vector;
  private static CpuDevice vectorOfThree;
  private static CpuDevice best;

  @BeforeAll
  static void open() {
    reference = CpuDevice.open("oracle-reference", 1, CpuBackend.REFERENCE);
    vector = CpuDevice.open("oracle-vector", 1, CpuBackend.VECTOR);
    // More threads than a machine may have: chunks of work still meet at odd places.
    vectorOfThree = CpuDevice.open("oracle-vector-3", 3, CpuBackend.VECTOR);
    best = CpuDevice.open("oracle-best", 2, CpuBackend.BEST);
  }

  @AfterAll
  static void close() {
    reference.close();
    vector.close();
    vectorOfThree.close();
    best.close();
  }

  static Stream<OperatorCase> cases() {
    return Stream.of(
            ElementwiseCases.all(),
            ProductCases.all(),
            RowCases.all(),
            AttentionCases.all(),
            MovementCases.all())
        .flatMap(List::stream);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cases")
  void f64_onReferenceKernels_equalsLibtorch(OperatorCase line) {
    new Oracle(reference, DType.F64, Tolerance.F64).check(line, Oracle.seed());
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cases")
  void f32_onReferenceKernels_equalsLibtorch(OperatorCase line) {
    new Oracle(reference, DType.F32, Tolerance.F32).check(line, Oracle.seed());
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cases")
  void f32_onVectorKernelsWithoutNatives_equalsLibtorch(OperatorCase line) {
    new Oracle(vector, DType.F32, Tolerance.F32).check(line, Oracle.seed());
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cases")
  void f32_onVectorKernelsWithThreeThreads_equalsLibtorch(OperatorCase line) {
    new Oracle(vectorOfThree, DType.F32, Tolerance.F32).check(line, Oracle.seed());
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("cases")
  void f32_onBestKernels_equalsLibtorch(OperatorCase line) {
    new Oracle(best, DType.F32, Tolerance.F32).check(line, Oracle.seed());
  }
}
