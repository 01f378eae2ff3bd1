package dev.heddle.parallel.component;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.Layers;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.parallel.tensor.TensorParallelLayers;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.MetaDevice;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ParameterDirectoryTest {
  /** A component that only owns parameters: divided along dims 0, 1 and 2, and whole. */
  private record Owner(List<Parameter> parameters) implements ComponentProgram {
    static Owner of(Layers layers) {
      Initializer random = new Initializer.Normal(1);
      return new Owner(
          List.of(
              layers.parameter("rows", Shape.of(7, 3), 0, 7, random),
              layers.parameter("columns", Shape.of(3, 10), 1, 5, random),
              layers.parameter("middle", Shape.of(3, 8, 2), 1, 4, random),
              layers.parameter("inner", Shape.of(2, 3, 5), 2, 5, random),
              layers.parameter("whole", Shape.of(4, 4), random),
              layers.parameter("scalar", Shape.of(), random)));
    }

    @Override
    public Tensor forward(int microBatch, Map<String, Tensor> incoming) {
      throw new UnsupportedOperationException();
    }
  }

  /** What a rank does with the directory of a component "c" on the mesh. */
  @FunctionalInterface
  private interface Check {
    void check(Communicator world, Device device, ParameterDirectory directory, Owner whole);
  }

  private static void onRanks(int ranks, Mesh mesh, DType dtype, Check check) {
    ModelGraph graph = new ModelGraph(List.of(new Component("c", mesh)), List.of());
    LocalWorld.run(
        ranks,
        world -> {
          try (CpuDevice device = CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.REFERENCE);
              MetaDevice meta = MetaDevice.open();
              MemoryScope scope = MemoryScope.open()) {
            Owner whole = Owner.of(new LocalLayers(device, dtype, 9));
            ParameterDirectory directory =
                new ParameterDirectory(
                    world,
                    graph,
                    Map.of("c", Owner.of(new LocalLayers(meta, dtype, 0)).parameters()),
                    programs(world, mesh, device, dtype),
                    Map.of());
            check.check(world, device, directory, whole);
          }
        });
  }

  private static Map<String, Owner> programs(
      Communicator world, Mesh mesh, Device device, DType dtype) {
    int rank = world.rank();
    if (!mesh.contains(rank)) {
      return Map.of();
    }
    Communicator group = world.subgroup("c.tp", mesh.group(rank, Axis.TP)).orElseThrow();
    return Map.of("c", Owner.of(new TensorParallelLayers(device, dtype, 9, group)));
  }

  private static Mesh mesh(int first, int tp, int dp) {
    return Mesh.onRanks(first, tp * dp).axis(Axis.TP, tp).axis(Axis.DP, dp).build();
  }

  @ParameterizedTest
  @CsvSource({"1,0,1,1", "2,0,2,1", "3,0,3,1", "4,0,2,2", "3,1,2,1", "6,2,4,1", "5,2,1,3"})
  void gather_putsTheGlobalTensorsTogetherOnRankZero_alsoWhereItHoldsNone(
      int ranks, int first, int tp, int dp) {
    for (DType dtype : List.of(DType.F64, DType.BF16)) {
      onRanks(
          ranks,
          mesh(first, tp, dp),
          dtype,
          (world, device, directory, whole) -> {
            for (int i = 0; i < whole.parameters().size(); i++) {
              Parameter expected = whole.parameters().get(i);
              ParameterDirectory.Entry entry = directory.entries().get(i);
              assertThat(entry.name()).isEqualTo(expected.name());
              assertThat(entry.shape()).isEqualTo(expected.globalShape());
              assertThat(entry.component()).isEqualTo("c");
              NDArray gathered = directory.gather(entry, device, dtype, p -> p.tensor().value());
              assertThat(gathered != null).isEqualTo(world.rank() == 0);
              if (gathered != null) {
                assertThat(gathered.toDoubles())
                    .as("%s over tp=%d", expected.name(), tp)
                    .containsExactly(expected.tensor().value().toDoubles());
              }
            }
          });
    }
  }

  @Test
  void parts_nameEachRankOnce_inOrder_andOneDataReplicaOnly() {
    // Ranks 2+3 are the first replica's tensor ranks, 4+5 the second's.
    onRanks(
        6,
        mesh(2, 2, 2),
        DType.F32,
        (world, device, directory, whole) -> {
          assertThat(directory.entries().get(0).parts())
              .containsExactly(
                  new ParameterDirectory.Part(2, 0, 0, 4), new ParameterDirectory.Part(3, 0, 4, 3));
          assertThat(directory.entries().get(2).parts())
              .containsExactly(
                  new ParameterDirectory.Part(2, 1, 0, 4), new ParameterDirectory.Part(3, 1, 4, 4));
          assertThat(directory.entries().get(4).parts())
              .containsExactly(new ParameterDirectory.Part(2, Parameter.WHOLE, 0, 0));
        });
  }

  @Test
  void parameterThatNoRankHolds_isRefused_insteadOfGatheredAsGarbage() {
    ModelGraph graph = new ModelGraph(List.of(new Component("c", mesh(5, 1, 1))), List.of());
    assertThatThrownBy(() -> directoryOf(graph, "rows"))
        .hasMessageContaining("the ranks do not hold rows [7,3] exactly once: []");
  }

  @Test
  void programOfAnotherModel_isRefused() {
    ModelGraph graph = new ModelGraph(List.of(new Component("c", mesh(0, 1, 1))), List.of());
    assertThatThrownBy(() -> directoryOf(graph, "lines"))
        .hasMessageContaining("program of component c has lines [7,3]")
        .hasMessageContaining("not among the component's 6 parameters, {rows=[7,3]");
  }

  private static void directoryOf(ModelGraph graph, String held) {
    LocalWorld.run(
        1,
        world -> {
          try (CpuDevice device = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
              MemoryScope scope = MemoryScope.open()) {
            Layers layers = new LocalLayers(device, DType.F32, 1);
            Owner other =
                new Owner(List.of(layers.parameter(held, Shape.of(7, 3), Initializer.ZEROS)));
            boolean hosts = graph.mesh("c").contains(0);
            new ParameterDirectory(
                world,
                graph,
                Map.of("c", Owner.of(layers).parameters()),
                hosts ? Map.of("c", other) : Map.of(),
                Map.of());
          }
        });
  }
}
