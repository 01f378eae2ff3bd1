package dev.heddle.train.config;

import dev.heddle.train.config.ConfigValue.Entry;
import dev.heddle.train.config.ConfigValue.Kind;
import dev.heddle.train.config.ConfigValue.Listing;
import dev.heddle.train.config.ConfigValue.Scalar;
import dev.heddle.train.config.ConfigValue.Section;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.api.lowlevel.Compose;
import org.snakeyaml.engine.v2.exceptions.Mark;
import org.snakeyaml.engine.v2.exceptions.MarkedYamlEngineException;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;
import org.snakeyaml.engine.v2.nodes.MappingNode;
import org.snakeyaml.engine.v2.nodes.Node;
import org.snakeyaml.engine.v2.nodes.NodeTuple;
import org.snakeyaml.engine.v2.nodes.ScalarNode;
import org.snakeyaml.engine.v2.nodes.SequenceNode;
import org.snakeyaml.engine.v2.nodes.Tag;
import org.snakeyaml.engine.v2.schema.CoreSchema;

/**
 * Text to {@link ConfigValue}. Works on the parser's nodes, not on constructed objects: nodes have
 * marks, keep the value as written, and show a key that is there twice.
 */
final class YamlTree {
  private static final String SECTIONS = "seed, output, dtype, data, model, parallel, train";

  private final String file;
  private final List<ConfigProblem> problems;

  private YamlTree(String file, List<ConfigProblem> problems) {
    this.file = file;
    this.problems = problems;
  }

  /**
   * Reads a whole configuration.
   *
   * @param file the name for refusals
   * @param text the YAML
   * @param problems receives duplicate keys
   * @throws ConfigException when the text is not YAML or not a mapping
   */
  static Section read(String file, String text, List<ConfigProblem> problems) {
    Optional<Node> root;
    try {
      root = new Compose(settings(file)).composeString(text);
    } catch (MarkedYamlEngineException e) {
      int line = e.getProblemMark().map(mark -> mark.getLine() + 1).orElse(1);
      throw refusal(file + ":" + line, "not YAML: " + oneLine(e.getProblem()), "YAML 1.2");
    } catch (YamlEngineException e) {
      throw refusal(file, "not YAML: " + oneLine(String.valueOf(e.getMessage())), "YAML 1.2");
    }
    if (root.isEmpty()) {
      throw refusal(file, "there is no configuration in it", "YAML with the keys " + SECTIONS);
    }
    YamlTree tree = new YamlTree(file, problems);
    ConfigValue value = tree.convert(root.get(), "", null);
    if (value instanceof Section section) {
      return section;
    }
    throw refusal(
        value.origin().locate("the file", value.shown()), "not keys with values", SECTIONS);
  }

  /**
   * Reads the value of a command-line override.
   *
   * @param override the override; every value in it gets the override as its origin
   * @param problems receives duplicate keys
   * @throws ConfigException when the value is not YAML
   */
  static ConfigValue read(ConfigOverride override, List<ConfigProblem> problems) {
    Origin origin = new Origin.OnCommandLine(override.words(), override.key());
    try {
      Optional<Node> root = new Compose(settings("--set")).composeString(override.value());
      if (root.isEmpty()) {
        return new Scalar("", Kind.NOTHING, origin);
      }
      return new YamlTree("", problems).convert(root.get(), override.key(), origin);
    } catch (YamlEngineException e) {
      String reason = e instanceof MarkedYamlEngineException marked ? marked.getProblem() : "";
      throw refusal(
          override.words(),
          "the value is not YAML: " + oneLine(reason),
          "a YAML value, such as 2, bf16, \"text: with signs\" or {tp: 2}");
    }
  }

  private static LoadSettings settings(String label) {
    return LoadSettings.builder().setLabel(label).setSchema(new CoreSchema()).build();
  }

  private static ConfigException refusal(String location, String reason, String accepted) {
    return new ConfigException(List.of(new ConfigProblem(location, reason, accepted)));
  }

  private static String oneLine(String text) {
    return text.strip().replaceAll("\\s+", " ");
  }

  private ConfigValue convert(Node node, String path, @Nullable Origin given) {
    Origin origin = given != null ? given : origin(node);
    return switch (node) {
      case ScalarNode scalar -> new Scalar(scalar.getValue(), kind(scalar.getTag()), origin);
      case SequenceNode sequence -> {
        List<ConfigValue> items = new ArrayList<>();
        for (Node item : sequence.getValue()) {
          items.add(convert(item, path, given));
        }
        yield new Listing(List.copyOf(items), origin);
      }
      case MappingNode mapping -> {
        Map<String, Entry> entries = new LinkedHashMap<>();
        for (NodeTuple tuple : mapping.getValue()) {
          Origin keyOrigin = given != null ? given : origin(tuple.getKeyNode());
          String key =
              tuple.getKeyNode() instanceof ScalarNode scalar ? scalar.getValue() : "(not a word)";
          String keyPath = path.isEmpty() ? key : path + "." + key;
          Entry entry = new Entry(keyOrigin, convert(tuple.getValueNode(), keyPath, given));
          Entry first = entries.putIfAbsent(key, entry);
          if (first != null) {
            problems.add(
                new ConfigProblem(
                    keyOrigin.locate(keyPath, entry.value().shown()),
                    "the key is there twice" + before(first.keyOrigin()),
                    "each key once"));
          }
        }
        yield new Section(entries, origin);
      }
      default ->
          throw refusal(origin.locate(path, ""), "cannot read this kind of node", "plain YAML");
    };
  }

  private static String before(Origin first) {
    return first instanceof Origin.InFile in ? ", first in line " + in.line() : "";
  }

  private Origin origin(Node node) {
    Optional<Mark> mark = node.getStartMark();
    return new Origin.InFile(
        file, mark.map(m -> m.getLine() + 1).orElse(1), mark.map(m -> m.getColumn() + 1).orElse(1));
  }

  private static Kind kind(Tag tag) {
    if (tag.equals(Tag.INT)) {
      return Kind.WHOLE;
    }
    if (tag.equals(Tag.FLOAT)) {
      return Kind.DECIMAL;
    }
    if (tag.equals(Tag.BOOL)) {
      return Kind.FLAG;
    }
    return tag.equals(Tag.NULL) ? Kind.NOTHING : Kind.TEXT;
  }
}
