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

  @BeforeAll
  static void open() {
    reference = CpuDevice.open("oracle-reference", 1, CpuBackend.REFERENCE);
  }

  @AfterAll
  static void close() {
    reference.close();
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
}
