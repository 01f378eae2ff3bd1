package dev.heddle.jmh.gpu;

import dev.heddle.jmh.StepModel;
import dev.heddle.jmh.StepTrainer;
import dev.heddle.runtime.cuda.CudaDevice;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Whole training steps: forward, backward, AdamW, and the loss read by the host. */
final class StepSpeed {
  private static final StepModel TINY_VIT = new StepModel("vit", false, 1, 32, 2, 4, 2, 10);
  private static final StepModel TINY_GPT = new StepModel("gpt", true, 1, 32, 2, 8, 2, 32);

  private final CheckOptions options;

  StepSpeed(CheckOptions options) {
    this.options = options;
  }

  List<Figure> measure() {
    List<Figure> figures = new ArrayList<>();
    List<StepModel> models =
        options.tiny() ? List.of(TINY_GPT, TINY_VIT) : List.of(StepModel.GPT, StepModel.VIT);
    CaptionStep.Sizes sizes = options.tiny() ? CaptionStep.Sizes.TINY : CaptionStep.Sizes.USUAL;
    for (String mode : Mode.ALL) {
      for (StepModel model : models) {
        CudaDevice device = Mode.open(mode);
        try (StepTrainer trainer = new StepTrainer(model, device, Mode.dtype(mode))) {
          String kind = model.causal() ? "gpt_step" : "vit_step";
          figures.add(time(model.name(), kind, mode, sizes(model), device, trainer::step));
        }
      }
      CudaDevice device = Mode.open(mode);
      try (CaptionStep trainer = new CaptionStep(sizes, device, Mode.dtype(mode))) {
        figures.add(time("captioning", "caption_step", mode, sizes.toMap(), device, trainer::step));
      }
    }
    return figures;
  }

  private Figure time(
      String name,
      String kind,
      String mode,
      Map<String, Long> sizes,
      CudaDevice device,
      Runnable step) {
    Operation operation =
        new Operation("steps", name + " " + mode, kind, mode, sizes, Operation.MILLISECONDS, 0);
    return Figure.of(operation, options.rounds().time(device::synchronize, step));
  }

  private static Map<String, Long> sizes(StepModel model) {
    Map<String, Long> sizes = new LinkedHashMap<>();
    sizes.put("layers", (long) model.layers());
    sizes.put("hidden_size", (long) model.hiddenSize());
    sizes.put("heads", (long) model.headCount());
    sizes.put("sequence", (long) model.sequenceLength());
    sizes.put("batch", (long) model.batchSize());
    sizes.put("classes", (long) model.classes());
    sizes.put("patch_size", (long) StepModel.PATCH_SIZE);
    return sizes;
  }
}
