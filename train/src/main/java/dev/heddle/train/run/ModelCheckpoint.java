package dev.heddle.train.run;

import dev.heddle.nn.Parameter;
import dev.heddle.optim.AdamW;
import dev.heddle.optim.ParameterPart;
import dev.heddle.parallel.component.ComponentOptimizer;
import dev.heddle.parallel.component.LossScaler;
import dev.heddle.parallel.component.ParameterDirectory;
import dev.heddle.parallel.component.ParameterDirectory.Entry;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.checkpoint.Checkpoint;
import dev.heddle.train.checkpoint.CheckpointDraft;
import dev.heddle.train.checkpoint.CheckpointException;
import dev.heddle.train.checkpoint.SafetensorsFile;
import dev.heddle.train.checkpoint.SafetensorsWriter;
import dev.heddle.train.checkpoint.TensorSpec;
import dev.heddle.train.checkpoint.TensorType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A model and its optimizer in a checkpoint: global tensors by global names, whatever the layout.
 * {@code model.safetensors} has the weights, {@code optimizer.safetensors} the moments and, for
 * bf16, the exact weights of the components that are trained. A component that was frozen when the
 * checkpoint was written and is trained now begins without moments.
 */
final class ModelCheckpoint {
  static final String MODEL_FILE = "model.safetensors";
  static final String OPTIMIZER_FILE = "optimizer.safetensors";

  /**
   * The manifest's attributes that say how often the optimizer of a component had stepped, and the
   * component's name.
   */
  static final String UPDATES = "updates.";

  /** The manifest's attribute that has an adaptive loss scale. */
  static final String LOSS_SCALE = "lossScale";

  /** The manifest's attribute that has the number of finite steps since the scale changed. */
  static final String FINITE_STEPS = "lossScale.finiteSteps";

  /** Of a component that is not trained. */
  private static final long FROZEN = -1;

  /** The kinds of tensors that the optimizer's file has of each parameter. */
  private enum StateKind {
    FIRST_MOMENT(".firstMoment"),
    SECOND_MOMENT(".secondMoment"),
    MASTER(".master");

    private final String suffix;

    StateKind(String suffix) {
      this.suffix = suffix;
    }

    NDArray of(AdamW.State state) {
      return switch (this) {
        case FIRST_MOMENT -> state.firstMoment();
        case SECOND_MOMENT -> state.secondMoment();
        case MASTER -> Objects.requireNonNull(state.master());
      };
    }
  }

  private static final String OTHER_MODEL =
      "model sizes and dtype must be those that it was saved with";

  /** A tensor of a file: which parameter it is of, and what. */
  private record Item(
      Entry entry, TensorSpec spec, boolean isState, Function<Parameter, NDArray> which) {}

  private final ParameterDirectory directory;
  private final Device device;
  private final DType dtype;
  private final Map<String, ComponentOptimizer> optimizers;
  private final LossScaler scaler;
  private final List<String> components;

  /**
   * Of the model that {@code directory} describes.
   *
   * @param dtype the parameters' type
   * @param optimizers this rank's optimizers, by component
   * @param scaler this rank's
   */
  ModelCheckpoint(
      ParameterDirectory directory,
      Device device,
      DType dtype,
      Map<String, ComponentOptimizer> optimizers,
      LossScaler scaler) {
    this.directory = directory;
    this.device = device;
    this.dtype = dtype;
    this.optimizers = optimizers;
    this.scaler = scaler;
    components = directory.entries().stream().map(Entry::component).distinct().toList();
  }

  /**
   * How often this rank's optimizers have stepped, by the order of the components: fewer times than
   * there were steps if some were skipped, and the moments' bias correction goes by it. The same on
   * all ranks that train a component; -1 on one that does not, and for a frozen one.
   */
  long[] updates() {
    return components.stream()
        .mapToLong(
            component -> {
              ComponentOptimizer optimizer = optimizers.get(component);
              return optimizer == null || optimizer.parameters().isEmpty()
                  ? FROZEN
                  : optimizer.adamW().steps();
            })
        .toArray();
  }

  /**
   * Writes both files; called on rank 0 while the others are in {@link #help}.
   *
   * @param updates the largest {@link #updates} of all ranks
   */
  void write(CheckpointDraft draft, long[] updates) throws IOException {
    for (int i = 0; i < updates.length; i++) {
      if (updates[i] != FROZEN) {
        draft.attribute(UPDATES + components.get(i), Long.toString(updates[i]));
      }
    }
    if (scaler.isAdaptive()) {
      draft.attribute(LOSS_SCALE, Double.toString(scaler.scale()));
      draft.attribute(FINITE_STEPS, Integer.toString(scaler.finiteSteps()));
    }
    write(draft, MODEL_FILE, modelItems(), dtype);
    write(draft, OPTIMIZER_FILE, optimizerItems(), dtype.accumulation());
  }

  /** Sends rank 0 what it needs for {@link #write}; called on all other ranks. */
  void help() {
    help(modelItems(), dtype);
    help(optimizerItems(), dtype.accumulation());
  }

  private void write(CheckpointDraft draft, String file, Map<String, Item> items, DType type)
      throws IOException {
    try (Arena arena = Arena.ofConfined()) {
      long largest =
          items.values().stream().mapToLong(item -> item.spec.byteSize()).max().orElse(0);
      MemorySegment host = arena.allocate(Math.max(1, largest), 64);
      draft.tensors(
          file,
          Map.of("format", "heddle"),
          specs(items),
          spec -> {
            Item item = item(items, spec);
            MemorySegment bytes = host.asSlice(0, spec.byteSize());
            try (MemoryScope scope = MemoryScope.open()) {
              NDArray whole = gather(item, type);
              if (whole != null) {
                whole.readBytes(bytes);
              }
            }
            return bytes;
          });
    }
  }

  private void help(Map<String, Item> items, DType type) {
    for (TensorSpec spec : SafetensorsWriter.order(specs(items))) {
      Item item = item(items, spec);
      try (MemoryScope scope = MemoryScope.open()) {
        gather(item, type);
      }
    }
  }

  private @Nullable NDArray gather(Item item, DType type) {
    return item.isState
        ? directory.gatherState(item.entry, device, type, item.which)
        : directory.gather(item.entry, device, type, item.which);
  }

  private static Item item(Map<String, Item> items, TensorSpec spec) {
    return Objects.requireNonNull(items.get(spec.name()), spec.name());
  }

  private static List<TensorSpec> specs(Map<String, Item> items) {
    return items.values().stream().map(Item::spec).toList();
  }

  private Map<String, Item> modelItems() {
    Map<String, Item> items = new LinkedHashMap<>();
    for (Entry entry : directory.entries()) {
      TensorSpec spec = spec(entry.name(), dtype, entry.shape());
      items.put(spec.name(), new Item(entry, spec, false, parameter -> parameter.tensor().value()));
    }
    return items;
  }

  private Map<String, Item> optimizerItems() {
    Map<String, Item> items = new LinkedHashMap<>();
    for (Entry entry : directory.entries()) {
      if (entry.state().isEmpty()) {
        continue;
      }
      for (StateKind kind : kinds()) {
        TensorSpec spec = spec(entry.name() + kind.suffix, dtype.accumulation(), entry.shape());
        items.put(
            spec.name(),
            new Item(
                entry,
                spec,
                true,
                parameter -> kind.of(optimizer(entry.component()).state(parameter))));
      }
    }
    return items;
  }

  private List<StateKind> kinds() {
    List<StateKind> kinds = new ArrayList<>(List.of(StateKind.values()));
    if (dtype == dtype.accumulation()) {
      kinds.remove(StateKind.MASTER);
    }
    return kinds;
  }

  private AdamW optimizer(String component) {
    ComponentOptimizer optimizer = optimizers.get(component);
    if (optimizer == null) {
      throw new IllegalStateException("checkpoint: this rank has no optimizer of " + component);
    }
    return optimizer.adamW();
  }

  private static TensorSpec spec(String name, DType dtype, Shape shape) {
    return TensorSpec.of(name, TensorType.valueOf(dtype.name()), shape.toArray());
  }

  /** Reads this rank's parts of weights and optimizer state. */
  void load(Checkpoint checkpoint) {
    SafetensorsFile model = checkpoint.tensors(MODEL_FILE);
    SafetensorsFile state = checkpoint.tensors(OPTIMIZER_FILE);
    checkNames(model, modelItems().keySet());
    checkNames(state, stateNames());
    for (Parameter parameter : directory.held()) {
      read(model, parameter.name(), ParameterPart.whole(parameter), parameter.tensor().value());
    }
    optimizers.forEach(
        (component, optimizer) -> {
          AdamW adamW = optimizer.adamW();
          OptionalLong updates = number(checkpoint, UPDATES + component);
          for (ParameterPart part : adamW.parts()) {
            AdamW.State own = adamW.state(part.parameter());
            if (updates.isPresent()) {
              for (StateKind kind : kinds()) {
                read(state, part.parameter().name() + kind.suffix, part, kind.of(own));
              }
            } else {
              begin(part, own);
            }
          }
          adamW.resumeAt(updates.orElse(0));
        });
    checkpoint
        .attribute(LOSS_SCALE)
        .ifPresent(
            scale ->
                scaler.resumeAt(
                    decimal(checkpoint, scale),
                    Math.toIntExact(number(checkpoint, FINITE_STEPS).orElse(0))));
  }

  /** State of a parameter that was not trained before. */
  private static void begin(ParameterPart part, AdamW.State state) {
    state.firstMoment().kernels().fill(state.firstMoment(), 0);
    state.secondMoment().kernels().fill(state.secondMoment(), 0);
    NDArray master = state.master();
    if (master != null) {
      part.weight().kernels().copy(part.weight(), master);
    }
  }

  /** All that the optimizer's file may have, also of components that are frozen now. */
  private Set<String> stateNames() {
    return directory.entries().stream()
        .flatMap(entry -> kinds().stream().map(kind -> entry.name() + kind.suffix))
        .collect(Collectors.toSet());
  }

  private static OptionalLong number(Checkpoint checkpoint, String attribute) {
    String text = checkpoint.attribute(attribute).orElse(null);
    if (text == null) {
      return OptionalLong.empty();
    }
    try {
      return OptionalLong.of(Long.parseLong(text));
    } catch (NumberFormatException e) {
      throw noNumber(checkpoint, attribute, text, e);
    }
  }

  private static double decimal(Checkpoint checkpoint, String text) {
    try {
      return Double.parseDouble(text);
    } catch (NumberFormatException e) {
      throw noNumber(checkpoint, LOSS_SCALE, text, e);
    }
  }

  private static CheckpointException noNumber(
      Checkpoint checkpoint, String attribute, String text, NumberFormatException cause) {
    return new CheckpointException(
        checkpoint.folder(),
        "the manifest's attribute " + attribute + " should be a number and is " + text,
        cause);
  }

  /** A model of more layers has all the tensors of a smaller one. */
  private static void checkNames(SafetensorsFile file, Set<String> wanted) {
    for (TensorSpec found : file.tensors()) {
      if (!wanted.contains(found.name())) {
        throw new CheckpointException(
            file.path(), "has " + text(found) + ", which the model does not have; " + OTHER_MODEL);
      }
    }
  }

  private static String text(TensorSpec tensor) {
    return tensor.name() + " " + tensor.type() + tensor.shape();
  }

  /**
   * Reads the weights only.
   *
   * @param parameters all of the model's, held whole or in part
   */
  static void loadWeights(Checkpoint checkpoint, List<Parameter> parameters) {
    SafetensorsFile model = checkpoint.tensors(MODEL_FILE);
    checkNames(model, parameters.stream().map(Parameter::name).collect(Collectors.toSet()));
    for (Parameter parameter : parameters) {
      read(model, parameter.name(), ParameterPart.whole(parameter), parameter.tensor().value());
    }
  }

  /** Copies what this rank has of a global tensor into {@code target}, and reads nothing else. */
  private static void read(SafetensorsFile file, String name, ParameterPart mine, NDArray target) {
    Parameter parameter = mine.parameter();
    TensorSpec wanted = spec(name, target.dtype(), parameter.globalShape());
    TensorSpec found = file.tensor(name).orElse(null);
    if (!wanted.equals(found)) {
      throw new CheckpointException(
          file.path(),
          found == null
              ? "has no tensor " + name + "; " + OTHER_MODEL
              : "has "
                  + text(found)
                  + ", and the model wants "
                  + text(wanted)
                  + "; "
                  + OTHER_MODEL);
    }
    MemorySegment whole = file.data(name);
    long bytes = target.dtype().byteSize();
    if (!parameter.isSharded()) {
      target.writeBytes(whole.asSlice(mine.start() * bytes, mine.size() * bytes));
      target.block().touch();
      return;
    }
    int dim = parameter.shardDim();
    Shape shape = parameter.globalShape();
    long inner = bytes;
    for (int i = dim + 1; i < shape.rank(); i++) {
      inner *= shape.dim(i);
    }
    // This rank's values are one run of each index of the dims before the divided one.
    long wholeRun = shape.dim(dim) * inner;
    long run = parameter.tensor().dim(dim) * inner;
    long start = mine.start() * bytes;
    long end = mine.end() * bytes;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment part = arena.allocate(Math.max(1, end - start), 8);
      long next = start;
      while (next < end) {
        long index = next / run;
        long within = next - index * run;
        long length = Math.min(run - within, end - next);
        MemorySegment.copy(
            whole,
            index * wholeRun + parameter.shardStart() * inner + within,
            part,
            next - start,
            length);
        next += length;
      }
      target.writeBytes(part.asSlice(0, end - start));
      target.block().touch();
    }
  }
}
