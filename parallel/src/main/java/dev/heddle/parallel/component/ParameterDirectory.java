package dev.heddle.parallel.component;

import dev.heddle.nn.Parameter;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Who holds which part of which parameter of a model: the same on every rank. With it global
 * tensors can be put together on rank 0, for checkpoints and for whoever wants to look at a whole
 * weight.
 */
public final class ParameterDirectory {
  /**
   * A global parameter and the ranks that together hold it once.
   *
   * @param component the component that it belongs to
   * @param name its global name
   * @param shape its global shape
   * @param parts in ascending order of their start
   */
  public record Entry(String component, String name, Shape shape, List<Part> parts) {}

  /**
   * One rank's part of a parameter.
   *
   * @param rank the rank
   * @param dim the divided dim, or {@link Parameter#WHOLE}
   * @param start the first index along it
   * @param count how many indices
   */
  public record Part(int rank, int dim, long start, long count) {}

  private static final int FIELDS = 4;

  private final Communicator world;
  private final List<Entry> entries;
  private final Map<String, Parameter> mine = new LinkedHashMap<>();

  /**
   * Collects the directory; all ranks call it together.
   *
   * @param global the global parameters of every component in the order of the graph, for example
   *     those of programs built on a meta device
   * @param programs the programs of this rank
   */
  public ParameterDirectory(
      Communicator world,
      ModelGraph graph,
      Map<String, List<Parameter>> global,
      Map<String, ? extends ComponentProgram> programs) {
    this.world = world;
    int rank = world.globalRank(world.rank());
    List<Long> fields = new ArrayList<>();
    for (Component component : graph.components()) {
      ComponentProgram program = programs.get(component.name());
      List<Parameter> names = globals(global, component);
      Map<String, Parameter> held = program == null ? Map.of() : held(program, names, component);
      mine.putAll(held);
      for (Parameter parameter : names) {
        describe(held.get(parameter.name()), program, component.mesh(), rank, fields);
      }
    }
    long[][] all = world.allGather(fields.stream().mapToLong(Long::longValue).toArray());
    List<Entry> collected = new ArrayList<>();
    int offset = 0;
    for (Component component : graph.components()) {
      for (Parameter parameter : globals(global, component)) {
        List<Part> parts = new ArrayList<>();
        for (int member = 0; member < all.length; member++) {
          long[] theirs = all[member];
          if (theirs[offset] == 1) {
            parts.add(
                new Part(
                    world.globalRank(member),
                    (int) theirs[offset + 1],
                    theirs[offset + 2],
                    theirs[offset + 3]));
          }
        }
        parts.sort(Comparator.comparingLong(Part::start));
        Entry entry = new Entry(component.name(), parameter.name(), parameter.globalShape(), parts);
        checkHeldOnce(entry);
        collected.add(entry);
        offset += FIELDS;
      }
    }
    entries = List.copyOf(collected);
  }

  /** The program's parameters by name: all of the component's, or those of its stages. */
  private static Map<String, Parameter> held(
      ComponentProgram program, List<Parameter> global, Component component) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    global.forEach(parameter -> shapes.put(parameter.name(), parameter.globalShape()));
    Map<String, Parameter> held = new LinkedHashMap<>();
    for (Parameter parameter : program.parameters()) {
      if (!parameter.globalShape().equals(shapes.get(parameter.name()))) {
        throw new IllegalArgumentException(
            "parameter directory: this rank's program of component "
                + component.name()
                + " has "
                + parameter
                + ", which is not among the component's "
                + global.size()
                + " parameters, "
                + shapes
                + "; build both from the same model");
      }
      held.put(parameter.name(), parameter);
    }
    return held;
  }

  /** A gap would be gathered as whatever was in memory. */
  private static void checkHeldOnce(Entry entry) {
    List<Part> parts = entry.parts();
    boolean whole = parts.size() == 1 && parts.getFirst().dim() == Parameter.WHOLE;
    long next = 0;
    for (Part part : parts) {
      boolean follows = part.dim() != Parameter.WHOLE && part.start() == next;
      next = follows ? next + part.count() : Long.MIN_VALUE;
    }
    int dim = parts.isEmpty() ? Parameter.WHOLE : parts.getFirst().dim();
    if (!whole && (dim == Parameter.WHOLE || next != entry.shape().dim(dim))) {
      throw new IllegalStateException(
          "parameter directory: the ranks do not hold "
              + entry.name()
              + " "
              + entry.shape()
              + " exactly once: "
              + parts);
    }
  }

  private static List<Parameter> globals(Map<String, List<Parameter>> global, Component component) {
    return global.getOrDefault(component.name(), List.of());
  }

  /** Four numbers: whether this rank stands for its part, the divided dim, start and count. */
  private static void describe(
      @Nullable Parameter parameter,
      @Nullable ComponentProgram program,
      Mesh mesh,
      int rank,
      List<Long> fields) {
    boolean stands =
        parameter != null
            && mesh.coordinate(rank, Axis.DP) == 0
            && mesh.coordinate(rank, Axis.CP) == 0
            && (parameter.isSharded() || mesh.coordinate(rank, Axis.TP) == 0)
            && isFirstHolder(parameter, program, mesh, rank);
    if (parameter == null || !stands) {
      fields.addAll(List.of(0L, 0L, 0L, 0L));
      return;
    }
    boolean sharded = parameter.isSharded();
    fields.add(1L);
    fields.add((long) parameter.shardDim());
    fields.add(parameter.shardStart());
    fields.add(sharded ? parameter.tensor().dim(parameter.shardDim()) : 0L);
  }

  /** Of the ranks whose stages share a parameter, the one that runs the first of these stages. */
  private static boolean isFirstHolder(
      Parameter parameter, @Nullable ComponentProgram program, Mesh mesh, int rank) {
    if (!(program instanceof StagedProgram staged)) {
      return true;
    }
    List<Integer> holders = staged.sharedParameters().getOrDefault(parameter.name(), List.of());
    return holders.isEmpty()
        || holders.getFirst() % mesh.size(Axis.PP) == mesh.coordinate(rank, Axis.PP);
  }

  /** All parameters in the order of the graph. */
  public List<Entry> entries() {
    return entries;
  }

  /**
   * Puts together on rank 0 what the ranks hold of a parameter; all ranks call it together.
   *
   * @param entry one of {@link #entries()}
   * @param dtype the type of what is gathered
   * @param which what is gathered: the parameter's value, or an optimizer's state of its shape
   * @return the global tensor on rank 0, in the current memory scope; null on the other ranks
   */
  public @Nullable NDArray gather(
      Entry entry, Device device, DType dtype, Function<Parameter, NDArray> which) {
    int rank = world.globalRank(world.rank());
    NDArray whole = world.rank() == 0 ? NDArray.empty(device, dtype, entry.shape()) : null;
    List<Message> messages = new ArrayList<>();
    for (Part part : entry.parts()) {
      Parameter parameter = mine.get(entry.name());
      if (part.rank() == rank && parameter != null) {
        messages.add(Message.send(0, which.apply(parameter)));
      }
      if (whole != null) {
        NDArray window =
            part.dim() == Parameter.WHOLE
                ? whole
                : whole.slice(part.dim(), part.start(), part.start() + part.count());
        messages.add(Message.receive(world.globalRanks().indexOf(part.rank()), window));
      }
    }
    if (!messages.isEmpty()) {
      world.exchange(messages).await();
    }
    return whole;
  }
}
