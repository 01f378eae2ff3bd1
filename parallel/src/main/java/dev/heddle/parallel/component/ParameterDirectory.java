package dev.heddle.parallel.component;

import dev.heddle.nn.Parameter;
import dev.heddle.optim.AdamW;
import dev.heddle.optim.ParameterPart;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Who holds which part of which parameter of a model, and of its optimizer's state: the same on
 * every rank. With it global tensors can be put together on rank 0, for checkpoints and for whoever
 * wants to look at a whole weight. Parameters go by name: a rank may hold any of a component's.
 */
public final class ParameterDirectory {
  /**
   * A global parameter and the ranks that together hold it once.
   *
   * @param component the component that it belongs to
   * @param name its global name
   * @param shape its global shape
   * @param parts in ascending order of their start
   * @param state who holds the optimizer's state, in ascending order; empty if the parameter is not
   *     trained
   */
  public record Entry(
      String component, String name, Shape shape, List<Part> parts, List<StatePart> state) {
    /** Takes copies. */
    public Entry {
      parts = List.copyOf(parts);
      state = List.copyOf(state);
    }
  }

  /**
   * One rank's part of a parameter.
   *
   * @param rank the rank
   * @param dim the divided dim, or {@link Parameter#WHOLE}
   * @param start the first index along it
   * @param count how many indices
   */
  public record Part(int rank, int dim, long start, long count) {
    private boolean isSameIntervalAs(Part other) {
      return dim == other.dim && start == other.start && count == other.count;
    }

    private Shape of(Shape whole) {
      return dim == Parameter.WHOLE ? whole : whole.with(dim, count);
    }

    private NDArray of(NDArray whole) {
      return dim == Parameter.WHOLE ? whole : whole.slice(dim, start, start + count);
    }
  }

  /**
   * The stretch of a rank's part of a parameter that the rank has optimizer state of.
   *
   * @param part the rank's part
   * @param first the first element, counted in row-major order within the part
   * @param end the element behind the last
   */
  public record StatePart(Part part, long first, long end) {
    private boolean isSameStretchAs(StatePart other) {
      return part.isSameIntervalAs(other.part) && first == other.first && end == other.end;
    }
  }

  /** A parameter's numbers: held, divided dim, start, count, first and end of the state. */
  private static final int FIELDS = 6;

  private final Communicator world;
  private final List<Entry> entries;
  private final Map<String, Parameter> mine = new LinkedHashMap<>();

  /**
   * Collects the directory; all ranks call it together.
   *
   * @param global the global parameters of every component in the order of the graph, for example
   *     those of programs built on a meta device
   * @param programs the programs of this rank
   * @param optimizers the optimizers of this rank; without one a component has no state
   */
  public ParameterDirectory(
      Communicator world,
      ModelGraph graph,
      Map<String, List<Parameter>> global,
      Map<String, ? extends ComponentProgram> programs,
      Map<String, ComponentOptimizer> optimizers) {
    this.world = world;
    List<Long> fields = new ArrayList<>();
    for (Component component : graph.components()) {
      ComponentProgram program = programs.get(component.name());
      ComponentOptimizer optimizer = optimizers.get(component.name());
      List<Parameter> names = globals(global, component);
      Map<String, Parameter> held = program == null ? Map.of() : held(program, names, component);
      mine.putAll(held);
      Map<String, ParameterPart> updated = new LinkedHashMap<>();
      if (optimizer != null) {
        AdamW adamW = optimizer.adamW();
        adamW.parts().forEach(part -> updated.put(part.parameter().name(), part));
      }
      int rank = world.globalRank(world.rank());
      boolean firstTensorRank =
          component.mesh().contains(rank) && component.mesh().coordinate(rank, Axis.TP) == 0;
      for (Parameter parameter : names) {
        ParameterPart part = updated.get(parameter.name());
        // Where TP ranks have copies, each of their columns may be divided at other places.
        boolean counts =
            part != null
                && (firstTensorRank
                    || part.parameter().isSharded()
                    || part.parameter().partialGradient());
        describe(held.get(parameter.name()), counts ? part : null, fields);
      }
    }
    long[][] all = world.allGather(fields.stream().mapToLong(Long::longValue).toArray());
    List<Entry> collected = new ArrayList<>();
    int offset = 0;
    for (Component component : graph.components()) {
      for (Parameter parameter : globals(global, component)) {
        Entry entry = entry(component, parameter, all, offset);
        checkHeldOnce(entry);
        checkStateHeldOnce(entry);
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

  private static List<Parameter> globals(Map<String, List<Parameter>> global, Component component) {
    return global.getOrDefault(component.name(), List.of());
  }

  private static void describe(
      @Nullable Parameter parameter, @Nullable ParameterPart updated, List<Long> fields) {
    if (parameter == null) {
      fields.addAll(Collections.nCopies(FIELDS, 0L));
      return;
    }
    boolean sharded = parameter.isSharded();
    fields.add(1L);
    fields.add((long) parameter.shardDim());
    fields.add(parameter.shardStart());
    fields.add(sharded ? parameter.tensor().dim(parameter.shardDim()) : 0L);
    fields.add(updated == null ? 0 : updated.start());
    fields.add(updated == null ? 0 : updated.end());
  }

  /** Of ranks that hold the same, the first of the world stands for all. */
  private Entry entry(Component component, Parameter parameter, long[][] all, int offset) {
    List<Part> parts = new ArrayList<>();
    List<StatePart> state = new ArrayList<>();
    for (int member = 0; member < all.length; member++) {
      long[] fields = all[member];
      if (fields[offset] == 0) {
        continue;
      }
      Part part =
          new Part(
              world.globalRank(member),
              (int) fields[offset + 1],
              fields[offset + 2],
              fields[offset + 3]);
      if (parts.stream().noneMatch(part::isSameIntervalAs)) {
        parts.add(part);
      }
      StatePart updated = new StatePart(part, fields[offset + 4], fields[offset + 5]);
      if (updated.end() > updated.first() && state.stream().noneMatch(updated::isSameStretchAs)) {
        state.add(updated);
      }
    }
    parts.sort(Comparator.comparingLong(Part::start));
    state.sort(
        Comparator.<StatePart>comparingLong(each -> each.part().start())
            .thenComparingLong(StatePart::first));
    return new Entry(component.name(), parameter.name(), parameter.globalShape(), parts, state);
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
      throw notOnce("the ranks do not hold", entry, parts);
    }
  }

  private static IllegalStateException notOnce(String what, Entry entry, List<?> parts) {
    return new IllegalStateException(
        "parameter directory: "
            + what
            + " "
            + entry.name()
            + " "
            + entry.shape()
            + " exactly once: "
            + parts);
  }

  /** The stretches of each part follow one another, from its first element to its last. */
  private static void checkStateHeldOnce(Entry entry) {
    if (entry.state().isEmpty()) {
      return;
    }
    for (Part part : entry.parts()) {
      long next = 0;
      for (StatePart stretch : entry.state()) {
        if (stretch.part().isSameIntervalAs(part)) {
          next = stretch.first() == next ? stretch.end() : Long.MIN_VALUE;
        }
      }
      if (next != part.of(entry.shape()).size()) {
        throw notOnce("the ranks do not have the optimizer's state of", entry, entry.state());
      }
    }
  }

  /** All parameters in the order of the graph. */
  public List<Entry> entries() {
    return entries;
  }

  /** The parameters that this rank holds, trained or not. */
  public Collection<Parameter> held() {
    return Collections.unmodifiableCollection(mine.values());
  }

  /**
   * Puts together on rank 0 what the ranks hold of a parameter; all ranks call it together.
   *
   * @param entry one of {@link #entries()}
   * @param dtype the type of what is gathered
   * @param which what is gathered: the parameter's value, or something else of its shape
   * @return the global tensor on rank 0, in the current memory scope; null on the other ranks
   */
  public @Nullable NDArray gather(
      Entry entry, Device device, DType dtype, Function<Parameter, NDArray> which) {
    List<StatePart> pieces =
        entry.parts().stream()
            .map(part -> new StatePart(part, 0, part.of(entry.shape()).size()))
            .toList();
    return gather(entry, pieces, device, dtype, which);
  }

  /**
   * Puts together on rank 0 what the ranks have of the optimizer's state of a parameter; all ranks
   * call it together.
   *
   * @param entry one of {@link #entries()} that has state
   * @param which the state of the stretch that this rank updates
   * @return as {@link #gather}
   */
  public @Nullable NDArray gatherState(
      Entry entry, Device device, DType dtype, Function<Parameter, NDArray> which) {
    return gather(entry, entry.state(), device, dtype, which);
  }

  private @Nullable NDArray gather(
      Entry entry,
      List<StatePart> pieces,
      Device device,
      DType dtype,
      Function<Parameter, NDArray> which) {
    int rank = world.globalRank(world.rank());
    NDArray whole = world.rank() == 0 ? NDArray.empty(device, dtype, entry.shape()) : null;
    // Stretches of a part that is scattered in the global tensor are put together beside it first.
    Map<Long, NDArray> scattered = new LinkedHashMap<>();
    List<Message> messages = new ArrayList<>();
    for (StatePart piece : pieces) {
      Part part = piece.part();
      Parameter parameter = mine.get(entry.name());
      if (part.rank() == rank && parameter != null) {
        messages.add(Message.send(0, which.apply(parameter)));
      }
      if (whole != null) {
        Shape shape = part.of(entry.shape());
        NDArray target = part.of(whole);
        if (piece.end() - piece.first() < shape.size()) {
          if (!target.isContiguous()) {
            target =
                scattered.computeIfAbsent(
                    part.start(), start -> NDArray.empty(device, dtype, shape));
          }
          target = target.reshape(shape.size()).slice(0, piece.first(), piece.end());
        }
        messages.add(Message.receive(world.globalRanks().indexOf(part.rank()), target));
      }
    }
    if (!messages.isEmpty()) {
      world.exchange(messages).await();
    }
    if (whole != null) {
      Set<Long> done = new HashSet<>();
      for (StatePart piece : pieces) {
        NDArray beside = scattered.get(piece.part().start());
        if (beside != null && done.add(piece.part().start())) {
          beside.kernels().copy(beside, piece.part().of(whole));
        }
      }
    }
    return whole;
  }
}
