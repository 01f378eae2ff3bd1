package dev.heddle.train.run;

import dev.heddle.nn.Parameter;
import dev.heddle.optim.AdamW;
import dev.heddle.parallel.component.ComponentOptimizer;
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
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * A model and its optimizer in a checkpoint: global tensors by global names, whatever the layout.
 * {@code model.safetensors} has the weights, {@code optimizer.safetensors} the moments and, for
 * bf16, the exact weights.
 */
final class ModelCheckpoint {
  static final String MODEL_FILE = "model.safetensors";
  static final String OPTIMIZER_FILE = "optimizer.safetensors";

  /** The manifest's attribute that says how often the optimizer had stepped. */
  static final String UPDATES = "updates";

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
  private record Item(Entry entry, TensorSpec spec, Function<Parameter, NDArray> which) {}

  private final ParameterDirectory directory;
  private final Device device;
  private final DType dtype;
  private final Map<String, ComponentOptimizer> optimizers;

  /**
   * Of the model that {@code directory} describes.
   *
   * @param dtype the parameters' type
   * @param optimizers this rank's optimizers, by component
   */
  ModelCheckpoint(
      ParameterDirectory directory,
      Device device,
      DType dtype,
      Map<String, ComponentOptimizer> optimizers) {
    this.directory = directory;
    this.device = device;
    this.dtype = dtype;
    this.optimizers = optimizers;
  }

  /**
   * How often this rank's optimizers have stepped: fewer times than there were steps if some were
   * skipped, and the moments' bias correction goes by it. The same on all ranks that have one; 0 on
   * a rank that has none.
   */
  long updates() {
    return optimizers.values().stream().mapToLong(each -> each.adamW().steps()).max().orElse(0);
  }

  /**
   * Writes both files; called on rank 0 while the others are in {@link #help}.
   *
   * @param updates the largest {@link #updates} of all ranks
   */
  void write(CheckpointDraft draft, long updates) throws IOException {
    draft.attribute(UPDATES, Long.toString(updates));
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
              NDArray whole = directory.gather(item.entry, device, type, item.which);
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
        directory.gather(item.entry, device, type, item.which);
      }
    }
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
      items.put(spec.name(), new Item(entry, spec, parameter -> parameter.tensor().value()));
    }
    return items;
  }

  private Map<String, Item> optimizerItems() {
    Map<String, Item> items = new LinkedHashMap<>();
    for (Entry entry : directory.entries()) {
      for (StateKind kind : kinds()) {
        TensorSpec spec = spec(entry.name() + kind.suffix, dtype.accumulation(), entry.shape());
        items.put(
            spec.name(),
            new Item(
                entry, spec, parameter -> kind.of(optimizer(entry.component()).state(parameter))));
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
    checkNames(state, optimizerItems().keySet());
    long updates = updatesOf(checkpoint);
    for (ComponentOptimizer component : optimizers.values()) {
      AdamW optimizer = component.adamW();
      for (Parameter parameter : optimizer.parameters()) {
        read(model, parameter.name(), parameter, parameter.tensor().value());
        for (StateKind kind : kinds()) {
          read(
              state,
              parameter.name() + kind.suffix,
              parameter,
              kind.of(optimizer.state(parameter)));
        }
      }
      optimizer.resumeAt(updates);
    }
  }

  private static long updatesOf(Checkpoint checkpoint) {
    String text = checkpoint.attribute(UPDATES).orElse("missing");
    try {
      return Long.parseLong(text);
    } catch (NumberFormatException e) {
      throw new CheckpointException(
          checkpoint.folder(),
          "the manifest's attribute " + UPDATES + " should be a number and is " + text,
          e);
    }
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
      read(model, parameter.name(), parameter, parameter.tensor().value());
    }
  }

  /** Copies this rank's interval of a global tensor into {@code target}. */
  private static void read(SafetensorsFile file, String name, Parameter parameter, NDArray target) {
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
    if (!parameter.isSharded()) {
      target.writeBytes(whole);
    } else {
      int dim = parameter.shardDim();
      Shape shape = parameter.globalShape();
      long inner = target.dtype().byteSize();
      for (int i = dim + 1; i < shape.rank(); i++) {
        inner *= shape.dim(i);
      }
      long outer = 1;
      for (int i = 0; i < dim; i++) {
        outer *= shape.dim(i);
      }
      long wholeRun = shape.dim(dim) * inner;
      long partRun = target.dim(dim) * inner;
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment part = arena.allocate(Math.max(1, outer * partRun), 8);
        for (long i = 0; i < outer; i++) {
          MemorySegment.copy(
              whole, i * wholeRun + parameter.shardStart() * inner, part, i * partRun, partRun);
        }
        target.writeBytes(part.asSlice(0, outer * partRun));
      }
    }
    target.block().touch();
  }
}
