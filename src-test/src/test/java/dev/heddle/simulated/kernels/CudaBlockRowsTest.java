package dev.heddle.simulated.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.BlockContext;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.simt.Launch;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A block that goes on with some rows, or with none, as a context-parallel rank does that holds no
 * scored position: kernels and products of no rows, on a simulated GPU.
 */
class CudaBlockRowsTest {
  private static final long SIZE = 16;

  @RegisterExtension
  static final SimulatedCuda CUDA =
      new SimulatedCuda(
          SimulatedOptions.lazily(),
          SimulatedCuda.order(Launch.Order.ORDINARY, false),
          SimulatedCuda.order(Launch.Order.ORDINARY, false));

  /** The rows, and the gradients of the block's input and parameters. */
  private static List<double[]> valueAndGradients(Device device, long... rows) {
    List<double[]> found = new ArrayList<>();
    try (MemoryScope scope = MemoryScope.open()) {
      TransformerBlock block =
          new TransformerBlock(
              new LocalLayers(device, DType.F32, 3), "b", SIZE, 2, AttentionMask.CAUSAL, 1);
      Random random = new Random(4);
      Tensor x = Tensor.leaf(normal(device, random, Shape.of(2, 6, SIZE)));
      NDArray chosen = NDArray.of(device, Shape.of(rows.length), rows);
      Tensor y = block.forwardRows(x, chosen, BlockContext.NONE);
      found.add(y.value().toDoubles());
      y.backward(normal(device, random, y.shape()));
      found.add(x.gradientOrZeros().toDoubles());
      for (Parameter parameter : block.parameters()) {
        found.add(parameter.tensor().gradientOrZeros().toDoubles());
      }
    }
    return found;
  }

  private static NDArray normal(Device device, Random random, Shape shape) {
    double[] values = random.doubles(shape.size(), -1, 1).toArray();
    return NDArray.of(device, DType.F32, shape, values);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "11", "2,3,9"})
  void chosenRows_areThoseOfTheProcessor(String listed) {
    long[] rows =
        List.of(listed.split(",")).stream()
            .filter(row -> !row.isEmpty())
            .mapToLong(Long::parseLong)
            .toArray();
    List<double[]> expected;
    try (CpuDevice cpu = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE)) {
      expected = valueAndGradients(cpu, rows);
    }
    List<double[]> actual;
    try (CudaDevice gpu = CudaDevice.open(0)) {
      actual = valueAndGradients(gpu, rows);
    }
    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < expected.size(); i++) {
      assertThat(actual.get(i)).as("array %d", i).containsExactly(expected.get(i), within(1e-5));
    }
  }
}
