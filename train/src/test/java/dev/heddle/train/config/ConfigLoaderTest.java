package dev.heddle.train.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ConfigLoaderTest {
  private static final String BASE =
      """
      seed: 7
      output: runs/emoji-captions
      dtype: f32
      data:     {kind: emoji, holdOut: 10}
      model:
        vision:    {layers: 4, hiddenSize: 192, heads: 3, patchSize: 4, imageSize: 32}
        projector: {hiddenSize: 768}
        language:  {layers: 4, hiddenSize: 256, heads: 4, contextLength: 96}
      parallel:
        ranks: 2
        vision:   {ranks: 0-1, dp: 2}
        language: {ranks: 0-1, tp: 2}
      train: {steps: 400, globalBatch: 32, microBatches: 1, learningRate: 0.001}
      """;

  @TempDir Path folder;

  private static RunConfig parse(String text, String... sets) {
    return ConfigLoader.parse("run.yaml", text, Stream.of(sets).map(ConfigOverride::set).toList());
  }

  private static String refusal(String text, String... sets) {
    ConfigException e = catchThrowableOfType(ConfigException.class, () -> parse(text, sets));
    assertThat(e).as("a refusal of %s %s", text, List.of(sets)).isNotNull();
    return e.getMessage();
  }

  /** The base with one text replaced, which must be there. */
  private static String base(String old, String with) {
    assertThat(BASE).contains(old);
    return BASE.replace(old, with);
  }

  @Test
  void load_theShippedExample_readsEveryKey() {
    RunConfig config = ConfigLoader.load(Path.of("../examples/emoji-captions.yaml"), List.of());
    assertThat(config)
        .isEqualTo(
            new RunConfig(
                7,
                Path.of("runs/emoji-captions"),
                Precision.F32,
                new DataConfig("emoji", 10, null),
                new ModelConfig(
                    new ModelConfig.Vision(4, 96, 3, 8, 32),
                    new ModelConfig.Projector(384),
                    new ModelConfig.Language(2, 128, 4, 96)),
                new ParallelConfig(
                    2,
                    new ParallelConfig.Placement(RankSet.range(0, 2), 1, 1, 1, 2),
                    new ParallelConfig.Placement(RankSet.range(0, 2), 2, 1, 1, 1)),
                new TrainConfig(5000, 32, 1, 0.001, 100, 0.01, 1.0)));
  }

  @Test
  void parse_withoutParallel_runsEverythingOnOneRank() {
    assertThat(parse("seed: 1").parallel()).isEqualTo(ParallelConfig.singleRank());
    assertThat(parse("parallel:\nseed: 1").parallel()).isEqualTo(ParallelConfig.singleRank());
    assertThat(parse(BASE, "parallel=").parallel()).isEqualTo(ParallelConfig.singleRank());
    assertThat(parse(BASE, "parallel={}").parallel()).isEqualTo(ParallelConfig.singleRank());
  }

  @Test
  void parse_withoutRanksButWithAxes_takesAsManyRanksAsTheAxesNeed() {
    ParallelConfig parallel = parse("parallel: {language: {tp: 2, dp: 2}}").parallel();
    assertThat(parallel.ranks()).isEqualTo(4);
    assertThat(parallel.language().ranks()).hasToString("0-3");
    assertThat(parallel.vision()).isEqualTo(ParallelConfig.Placement.singleRank());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "0-1 | 0-1",
        "3 | 3",
        "0,2 | 0,2",
        "[0, 2] | 0,2",
        "0-1,4 | 0-1,4",
        "\"0, 1, 2,5-6\" | 0-2,5-6",
      })
  void parse_ranks_readsEveryWrittenForm(String written, String shown) {
    String value = written.startsWith("\"") ? written : written.strip();
    int count = RankSet.parse(shown).size();
    RunConfig config =
        parse(
            "parallel:\n  ranks: 7\n  vision: {ranks: 0-6, dp: 7}\n  language:\n    ranks: "
                + value
                + "\n    dp: "
                + count);
    assertThat(config.parallel().language().ranks()).hasToString(shown);
  }

  @Test
  void parse_overrides_winOverTheFileAndLaterOnesWinOverEarlier() {
    RunConfig config =
        parse(
            BASE,
            "train.steps=10",
            "train.steps=50",
            "model.language={layers: 2, hiddenSize: 64, heads: 2}",
            "model.language.layers=3",
            "dtype=f64",
            "train.learningRate=3e-4",
            "output=elsewhere");
    assertThat(config.train().steps()).isEqualTo(50);
    assertThat(config.model().language()).isEqualTo(new ModelConfig.Language(3, 64, 2, 96));
    assertThat(config.dtype()).isEqualTo(Precision.F64);
    assertThat(config.train().learningRate()).isEqualTo(3e-4);
    assertThat(config.output()).isEqualTo(Path.of("elsewhere"));
  }

  @Test
  void parse_headsThatTpDoesNotDivide_isAllowed() {
    RunConfig config =
        parse(
            BASE,
            "parallel.ranks=3",
            "parallel.vision={ranks: 0-2, dp: 3}",
            "parallel.language={ranks: 0-2, tp: 3}");
    assertThat(config.parallel().language().tp()).isEqualTo(3);
  }

  @Test
  void parse_ranksAndAxesOnTheCommandLine_replaceAxesOfTheFileThatDoNotFit() {
    String[] anew = {
      "parallel.ranks=4",
      "parallel.language.ranks=0-3",
      "parallel.language.cp=2",
      "parallel.language.pp=2"
    };
    ParallelConfig.Placement language = parse(BASE, anew).parallel().language();
    assertThat(List.of(language.tp(), language.cp(), language.pp(), language.dp()))
        .containsExactly(1, 2, 2, 1);
    // An axis of the file that fits stays.
    language = parse(BASE, anew[0], anew[1], anew[2]).parallel().language();
    assertThat(List.of(language.tp(), language.cp(), language.pp(), language.dp()))
        .containsExactly(2, 2, 1, 1);
    // Neither fits: the refusal shows what the file says too.
    assertThat(refusal(BASE, anew[0], anew[1], "parallel.language.cp=3")).contains("tp 2 x cp 3");
    // An axis alone never takes another's place.
    assertThat(refusal(BASE, "parallel.language.cp=2")).contains("tp 2 x cp 2");
  }

  @Test
  void write_thenParse_givesAnEqualConfiguration() throws IOException {
    List<RunConfig> configs =
        List.of(
            parse(BASE),
            parse("seed: 9223372036854775807"),
            parse(BASE, "train.clipNorm=.inf", "train.learningRate=1e-7"),
            parse(BASE, "output=\"a b: \\\"#x\\\"\\\\ é\""),
            parse(BASE, "data.path='" + dataFolder("- x, {y}") + "'"));
    for (RunConfig config : configs) {
      assertThat(parse(ConfigWriter.toYaml(config))).isEqualTo(config);
    }
  }

  private Path dataFolder(String name) throws IOException {
    Path data = Files.createDirectory(folder.resolve(name));
    for (String file : DataConfig.EMOJI_FILES) {
      Files.writeString(data.resolve(file), "");
    }
    return data;
  }

  @Test
  void parse_dataThatCannotBeRead_namesWhatIsMissing() throws IOException {
    String accepted =
        "; accepted: a folder with emoji.jsonl, google-32.png, twitter-32.png,"
            + " or nothing for the pictures shipped with Heddle";
    assertThat(refusal(base("holdOut: 10", "holdOut: 10, path: /no/such/folder")))
        .isEqualTo("run.yaml:4: data.path = /no/such/folder: there is no such folder" + accepted);
    Path data = dataFolder("data");
    Files.delete(data.resolve("google-32.png"));
    assertThat(refusal(BASE, "data.path=" + data))
        .isEqualTo("--set data.path=" + data + ": cannot read google-32.png in it" + accepted);
    assertThat(refusal(BASE, "data.path=" + data.resolve("emoji.jsonl")))
        .contains(": not a folder; accepted: ");
  }

  @Test
  void parse_headsNotDividingHiddenSize_namesTheLineTheValueAndTheDivisors() {
    assertThat(refusal(base("heads: 3", "heads: 5")))
        .isEqualTo(
            "run.yaml:6: model.vision.heads = 5: hiddenSize 192 is not divisible by 5;"
                + " accepted: 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, ...");
    assertThat(refusal(BASE, "model.vision.heads=5"))
        .isEqualTo(
            "--set model.vision.heads=5: hiddenSize 192 is not divisible by 5;"
                + " accepted: 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, ...");
    assertThat(refusal(BASE, "model.vision.hiddenSize=190"))
        .isEqualTo(
            "--set model.vision.hiddenSize=190: not divisible by heads 3;"
                + " accepted: a multiple of 3, such as 189");
    assertThat(refusal("model: {language: {hiddenSize: 255}}"))
        .isEqualTo(
            "run.yaml:1: model.language.hiddenSize = 255: not divisible by heads 4;"
                + " accepted: a multiple of 4, such as 252");
    assertThat(refusal(base("hiddenSize: 256, heads: 4", "hiddenSize: 252, heads: 4")))
        .isEqualTo(
            "run.yaml:8: model.language.heads = 4: a head has hiddenSize / heads = 252 / 4 = 63"
                + " features, an odd number, and rotary embedding turns pairs of features;"
                + " accepted: 1, 2, 3, 6, 7, 9, 14, 18, 21, 42, 63, 126");
  }

  @Test
  void parse_unknownKey_namesTheLineAndTheNearestKey() {
    assertThat(refusal(base("  vision:    {layers", "  vison:    {layers")))
        .isEqualTo(
            "run.yaml:6: model.vison: unknown key; did you mean vision?;"
                + " accepted: vision, audio, projector, language");
    assertThat(refusal(base("hiddenSize: 768", "hidden_size: 768")))
        .isEqualTo(
            "run.yaml:7: model.projector.hidden_size: unknown key; did you mean hiddenSize?;"
                + " accepted: hiddenSize");
    assertThat(refusal(BASE + "optimizer: adam\n"))
        .isEqualTo(
            "run.yaml:14: optimizer: unknown key;"
                + " accepted: seed, output, dtype, data, model, parallel, train");
    assertThat(refusal(BASE, "modle.vision.heads=5"))
        .isEqualTo(
            "--set modle.vision.heads=5: modle: unknown key; did you mean model?;"
                + " accepted: seed, output, dtype, data, model, parallel, train");
    assertThat(refusal(BASE, "parallel.language.ep=2"))
        .isEqualTo(
            "--set parallel.language.ep=2: unknown key; did you mean tp?;"
                + " accepted: ranks, tp, cp, pp, dp, cpMethod, sequenceParallel, stageLayers,"
                + " chunks, shardOptimizer");
  }

  @Test
  void parse_duplicateKey_namesBothLines() {
    assertThat(refusal(BASE + "seed: 8\n"))
        .isEqualTo(
            "run.yaml:14: seed = 8: the key is there twice, first in line 1;"
                + " accepted: each key once");
    assertThat(refusal(base("{hiddenSize: 768}", "{hiddenSize: 768, hiddenSize: 9}")))
        .isEqualTo(
            "run.yaml:7: model.projector.hiddenSize = 9: the key is there twice, first in line 7;"
                + " accepted: each key once");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "train.steps=many | not a whole number; accepted: a whole number of at least 1",
        "train.steps=4.5 | not a whole number; accepted: a whole number of at least 1",
        "train.steps=[1] | not a whole number; accepted: a whole number of at least 1",
        "train.steps={a: 1} | not a whole number; accepted: a whole number of at least 1",
        "train.steps=true | not a whole number; accepted: a whole number of at least 1",
        "train.steps=\"4\" | not a whole number; accepted: a whole number of at least 1",
        "train.steps=-4 | negative; accepted: a whole number of at least 1",
        "train.steps=0 | too small; accepted: a whole number of at least 1",
        "train.steps=3000000000 | too large; accepted: a whole number from 1 to 2147483647",
        "train.warmupSteps=-1 | negative; accepted: a whole number of at least 0",
        "train.learningRate=.nan | not a number; accepted: a number above 0",
        "train.learningRate=nan | not a number; accepted: a number above 0",
        "train.learningRate=-0.1 | negative; accepted: a number above 0",
        "train.learningRate=0 | out of range; accepted: a number above 0",
        "train.learningRate=.inf | infinite; accepted: a number above 0",
        "train.weightDecay=-1 | negative; accepted: a number of at least 0",
        "train.clipNorm=0 | out of range; accepted: a number above 0, or .inf for no clipping",
        "train.lossScale=-1 | negative; accepted: a number above 0, or 0 for one that adapts",
        "train.lossScale=.inf | infinite; accepted: a number above 0, or 0 for one that adapts",
        "train.lossScale=big | not a number; accepted: a number above 0, or 0 for one that adapts",
        "train.vision.learningRate=0 | out of range; accepted: a number above 0",
        "train.language.learningRate=-1 | negative; accepted: a number above 0",
        "train.vision.frozen=yes | unknown; accepted: true, false",
        "parallel.vision.shardOptimizer=2 | unknown; accepted: true, false",
        "data.holdOut=1 | too small; accepted: a whole number of at least 2",
        "data.kind=emojis | unknown; did you mean emoji?; accepted: emoji",
        "dtype=f16 | unknown; did you mean bf16?; accepted: f32, f64, bf16",
        "dtype=float8 | unknown; accepted: f32, f64, bf16",
        "output=[] | not a text; accepted: the path of a folder",
        "model=5 | not a section; accepted: keys with values, such as model: {...}",
        "seed=-1 | negative; accepted: a whole number of at least 0",
      })
  void parse_valueOfTheWrongKind_saysWhatWouldBeAccepted(String set, String expected) {
    assertThat(refusal(BASE, set)).isEqualTo("--set " + set + ": " + expected);
  }

  @Test
  void parse_valueOfTheWrongKindInTheFile_namesTheLine() {
    assertThat(refusal(base("dtype: f32", "dtype: f31")))
        .isEqualTo("run.yaml:3: dtype = f31: unknown; did you mean f32?; accepted: f32, f64, bf16");
    assertThat(refusal(base("learningRate: 0.001", "learningRate: .nan")))
        .isEqualTo(
            "run.yaml:13: train.learningRate = .nan: not a number; accepted: a number above 0");
  }

  @Test
  void parse_ranksThatAreNotASet_saysWhy() {
    String accepted = "; accepted: a range such as 0-1, one rank such as 3, or a list such as 0,2";
    assertThat(refusal(base("language: {ranks: 0-1", "language: {ranks: zero")))
        .isEqualTo(
            "run.yaml:12: parallel.language.ranks = zero: 'zero' is not a rank or a range"
                + accepted);
    assertThat(refusal(BASE, "parallel.vision.ranks=1-0"))
        .isEqualTo("--set parallel.vision.ranks=1-0: the range 1-0 runs backwards" + accepted);
    assertThat(refusal(BASE, "parallel.vision.ranks=1,1"))
        .isEqualTo("--set parallel.vision.ranks=1,1: rank 1 is there twice" + accepted);
    assertThat(refusal(BASE, "parallel.vision.ranks=-1"))
        .isEqualTo("--set parallel.vision.ranks=-1: '-1' is not a rank or a range" + accepted);
    assertThat(refusal(BASE, "parallel.vision.ranks=0-99999999"))
        .isEqualTo(
            "--set parallel.vision.ranks=0-99999999: the range 0-99999999 holds more than 1048576"
                + " ranks"
                + accepted);
    assertThat(refusal(base("language: {ranks: 0-1", "language: {ranks: 0,2")))
        .contains(
            "run.yaml:12: parallel.language.2: unknown key; inside braces YAML ends a value at a"
                + " comma, write ranks: [0, 2] or \"0,2\"");
  }

  @Test
  void parse_rankThatDoesNotExist_namesItAndTheRanksOfTheRun() {
    assertThat(refusal(base("language: {ranks: 0-1", "language: {ranks: 1-2")))
        .isEqualTo(
            "run.yaml:12: parallel.language.ranks = 1-2: rank 2 does not exist, the run has"
                + " ranks 0-1; accepted: ranks within 0-1, or parallel.ranks 3");
    assertThat(refusal(BASE, "parallel.ranks=1"))
        .isEqualTo(
            "--set parallel.ranks=1: parallel.vision runs on ranks 0-1;"
                + " accepted: at least 2, or parallel.vision.ranks 0\n"
                + "--set parallel.ranks=1: parallel.language runs on ranks 0-1;"
                + " accepted: at least 2, or parallel.language.ranks 0");
  }

  @Test
  void parse_rankWithoutAComponent_isRefused() {
    assertThat(refusal(BASE, "parallel.ranks=4"))
        .isEqualTo(
            "--set parallel.ranks=4: no component runs on ranks 2-3;"
                + " accepted: 2, or components placed on every rank");
  }

  @Test
  void parse_axesThatDoNotFillTheRanks_showsTheProduct() {
    assertThat(refusal(base("ranks: 0-1, tp: 2", "ranks: 0-1")))
        .isEqualTo(
            "run.yaml:12: parallel.language.ranks = 0-1: ranks 0-1 is 2 ranks, and tp 1 x cp 1 x"
                + " pp 1 x dp 1 = 1; accepted: as many ranks as 1, or axis sizes whose product"
                + " is 2");
    assertThat(refusal(BASE, "parallel.vision.dp=4"))
        .isEqualTo(
            "--set parallel.vision.dp=4: ranks 0-1 is 2 ranks, and tp 1 x cp 1 x pp 1 x dp 4 = 4;"
                + " accepted: axis sizes whose product is 2, or as many ranks as 4");
    assertThat(refusal(BASE, "parallel.vision.dp=0"))
        .isEqualTo(
            "--set parallel.vision.dp=0: too small; accepted: a whole number from 1 to 16384");
  }

  @Test
  void parse_fewerHeadsThanTp_namesBoth() {
    assertThat(
            refusal(
                base("vision:   {ranks: 0-1, dp: 2}", "vision:   {ranks: 0-3, tp: 4}"),
                "parallel.ranks=4"))
        .isEqualTo(
            "run.yaml:11: parallel.vision.tp = 4: 3 heads cannot be split over tp 4: each rank"
                + " needs at least one; accepted: 1 to 3");
    assertThat(refusal(BASE, "model.language.heads=1"))
        .isEqualTo(
            "--set model.language.heads=1: 1 heads cannot be split over tp 2: each rank needs at"
                + " least one; accepted: at least 2");
  }

  @Test
  void parse_batchSmallerThanDp_saysTheSmallestBatch() {
    assertThat(refusal(base("globalBatch: 32", "globalBatch: 1")))
        .isEqualTo(
            "run.yaml:13: train.globalBatch = 1: globalBatch 1 is smaller than parallel.vision.dp"
                + " 2 x microBatches 1 = 2: each data-parallel rank needs at least one sample of"
                + " each micro batch; accepted: at least 2");
    assertThat(refusal(BASE, "train.microBatches=17"))
        .endsWith("accepted: 1 to 16, or globalBatch 34");
    assertThat(refusal(BASE, "train.microBatches=33"))
        .isEqualTo(
            "--set train.microBatches=33: 32 samples cannot be cut into 33 micro batches;"
                + " accepted: 1 to globalBatch 32");
  }

  @Test
  void parse_pictureNotAMultipleOfThePatch_saysTheNearestSizes() {
    assertThat(refusal(base("imageSize: 32", "imageSize: 30")))
        .isEqualTo(
            "run.yaml:6: model.vision.imageSize = 30: a picture of 30 pixels is not cut evenly by"
                + " patches of 4; accepted: a multiple of patchSize 4: 28 or 32");
    assertThat(refusal(BASE, "model.vision.patchSize=5"))
        .isEqualTo(
            "--set model.vision.patchSize=5: a picture of 32 pixels is not cut evenly by patches"
                + " of 5; accepted: 1, 2, 4, 8, 16, 32");
  }

  @Test
  void parse_contextTooShortForPatchesAndText_saysTheSmallestLength() {
    assertThat(refusal(base("contextLength: 96", "contextLength: 64")))
        .isEqualTo(
            "run.yaml:8: model.language.contextLength = 64: a sequence is 64 patches of the"
                + " picture and up to 10 text tokens, 74 in all, and contextLength is 64;"
                + " accepted: at least 74");
    assertThat(refusal(BASE, "model.vision.patchSize=1"))
        .contains("--set model.vision.patchSize=1: ", "1034 in all", "a larger patch");
  }

  @Test
  void parse_sectionAudio_makesAThirdComponent() {
    RunConfig config =
        parse(BASE, "model.audio.framesPerRow=16", "parallel.audio.ranks=1", "model.audio.heads=2");
    assertThat(config.model().audio()).isEqualTo(new ModelConfig.Audio(2, 96, 2, 16, false));
    assertThat(config.parallel().placements()).containsOnlyKeys("vision", "audio", "language");
    assertThat(parse(BASE).model().audio()).isNull();
  }

  @Test
  void parse_contextTooShortForTheLongestSound_saysWhatASequenceIs() {
    String wanted =
        "a sequence is 64 patches of the picture, up to 76 rows of sound and up to 10 text tokens,"
            + " 150 in all, and contextLength is 96; accepted: ";
    assertThat(refusal(BASE, "model.audio.framesPerRow=4"))
        .isEqualTo(
            "--set model.audio.framesPerRow=4: "
                + wanted
                + "more frames a row or a longer context");
    assertThat(refusal(BASE, "model.audio.layers=1", "model.language.contextLength=96"))
        .contains(wanted + "at least 150");
  }

  @ParameterizedTest
  @ValueSource(strings = {"vision.cp", "vision.pp", "language.cp", "language.pp"})
  void parse_everyAxisOfEveryComponent(String axis) {
    String component = "parallel." + axis.substring(0, axis.indexOf('.'));
    RunConfig config =
        parse(BASE, component + ".tp=1", component + ".dp=1", "parallel." + axis + "=2");
    ParallelConfig.Placement placement =
        config.parallel().placements().get(axis.substring(0, axis.indexOf('.')));
    assertThat(axis.endsWith("cp") ? placement.cp() : placement.pp()).isEqualTo(2);
  }

  @Test
  void parse_allToAllOverMoreRanksThanHeads_isRefused() {
    assertThat(
            refusal(
                BASE,
                "parallel.language.tp=1",
                "parallel.language.dp=1",
                "model.language.hiddenSize=6",
                "model.language.heads=1",
                "parallel.language.cpMethod=all-to-all",
                "parallel.language.cp=2"))
        .contains("all-to-all gives each of cp 2 ranks some heads", "ring or all-gather");
  }

  @Test
  void parse_trainingOfOneComponent_differsFromTheOthers() {
    RunConfig config =
        parse(
            BASE,
            "train.vision.learningRate=0.0001",
            "train.language.frozen=true",
            "train.lossScale=0",
            "parallel.vision.shardOptimizer=true");
    assertThat(config.train().learningRate("vision")).isEqualTo(0.0001);
    assertThat(config.train().learningRate("language")).isEqualTo(0.001);
    assertThat(config.train().frozen()).containsExactly("language");
    assertThat(config.train().lossScale()).isZero();
    assertThat(config.parallel().vision().division().shardOptimizer()).isTrue();
    assertThat(config.parallel().language().division().shardOptimizer()).isFalse();
    // The run's folder keeps the configuration in words that are read again.
    assertThat(parse(ConfigWriter.toYaml(config))).isEqualTo(config);
  }

  @Test
  void parse_nothingLeftToTrain_isRefused() {
    assertThat(refusal(BASE, "train.vision.frozen=true", "train.language.frozen=true"))
        .isEqualTo(
            "--set train.vision.frozen=true: every component is frozen, nothing is left to train;"
                + " accepted: false, for one of vision, language");
    assertThat(
            refusal(
                base("train: {steps: 400,", "train: {vision: {frozen: true}, steps: 400,"),
                "train.language.frozen=true"))
        .isEqualTo(
            "--set train.language.frozen=true: every component is frozen, nothing is left to"
                + " train; accepted: false, for one of vision, language");
  }

  @Test
  void parse_trainingOfAComponentThatIsNotThere_isRefused() {
    assertThat(refusal(BASE, "train.audio.frozen=true"))
        .isEqualTo(
            "--set train.audio.frozen=true: the model has no component audio;"
                + " accepted: one of vision, language");
    assertThat(refusal(base("train: {steps", "train: {audio: {learningRate: 0.1}, steps")))
        .isEqualTo(
            "run.yaml:13: train.audio.learningRate = 0.1: the model has no component audio;"
                + " accepted: one of vision, language");
    assertThat(refusal(BASE, "train.projector.frozen=true")).contains("projector: unknown key");
  }

  @Test
  void parse_severalProblems_reportsAllOfThem() {
    assertThat(refusal(base("seed: 7", "sead: 7"), "train.steps=x", "dtype=f8").lines()).hasSize(3);
  }

  @Test
  void parse_textThatIsNotYaml_namesTheLine() {
    assertThat(refusal("seed: 1\ndata: {kind: emoji\nmodel: 3\n"))
        .startsWith("run.yaml:3: not YAML: ")
        .endsWith("; accepted: YAML 1.2");
    assertThat(refusal("")).startsWith("run.yaml: there is no configuration in it; accepted: ");
    assertThat(refusal("- a\n- b\n")).startsWith("run.yaml:1: ").contains("not keys with values");
    assertThat(refusal("seed: 1\n---\nseed: 2\n")).startsWith("run.yaml:");
    assertThat(refusal(BASE, "train={steps: "))
        .startsWith("--set train={steps: : the value is not");
  }

  @Test
  void set_withoutKeyOrEquals_isRefused() {
    assertThat(refusal(BASE, "train.steps"))
        .isEqualTo(
            "--set train.steps: no '=' after the key;"
                + " accepted: --set a.b.c=VALUE, such as --set parallel.language.tp=2");
    assertThat(refusal(BASE, "=3")).contains("'' is not a key");
    assertThat(refusal(BASE, "a..b=3")).contains("'a..b' is not a key");
  }

  @Test
  void load_fileThatCannotBeRead_saysWhy() throws IOException {
    Path missing = folder.resolve("missing.yaml");
    Path binary = Files.write(folder.resolve("binary.yaml"), new byte[] {(byte) 0xff, 0x00});
    Path good = Files.writeString(folder.resolve("good.yaml"), BASE, StandardCharsets.UTF_8);
    assertThat(ConfigLoader.load(good, List.of()).seed()).isEqualTo(7);
    assertThat(
            catchThrowableOfType(
                ConfigException.class, () -> ConfigLoader.load(missing, List.of())))
        .hasMessage(
            missing
                + ": there is no such file;"
                + " accepted: a configuration file, such as examples/emoji-captions.yaml");
    assertThat(
            catchThrowableOfType(ConfigException.class, () -> ConfigLoader.load(binary, List.of())))
        .hasMessageContaining(binary + ": not a text in UTF-8");
    assertThat(
            catchThrowableOfType(ConfigException.class, () -> ConfigLoader.load(folder, List.of())))
        .hasMessageContaining(folder + ": a folder, not a file");
  }
}
