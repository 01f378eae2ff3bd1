package dev.heddle.test.architecture;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What every hand-written source file keeps to, whichever module it is in. */
class SourceRulesTest {
  private static final int USUAL_LINES = 400;
  private static final int MOST_LINES = 800;
  private static final Set<String> NOT_SEARCHED = Set.of("target", "generated", ".git");

  // In two parts, or this file would break its own rule.
  private static final Pattern UNFINISHED = Pattern.compile("TO" + "DO|FIX" + "ME|X" + "XX");

  private static Path root;
  private static Map<Path, List<String>> sources;

  @BeforeAll
  static void readTheSources() throws IOException {
    root = Path.of("").toAbsolutePath();
    while (!Files.isDirectory(root.resolve(".mvn"))) {
      root = root.getParent();
    }
    sources = new TreeMap<>();
    for (Path file : filesUnder(root)) {
      String name = file.getFileName().toString();
      if (name.endsWith(".java") || name.endsWith(".cu")) {
        sources.put(root.relativize(file), Files.readAllLines(file));
      }
    }
  }

  private static List<Path> filesUnder(Path folder) throws IOException {
    List<Path> found = new ArrayList<>();
    try (Stream<Path> children = Files.list(folder)) {
      for (Path child : children.sorted().toList()) {
        if (Files.isDirectory(child)) {
          if (!NOT_SEARCHED.contains(child.getFileName().toString())) {
            found.addAll(filesUnder(child));
          }
        } else {
          found.add(child);
        }
      }
    }
    return found;
  }

  @Test
  void sources_areFoundAtAll() {
    assertThat(sources)
        .containsKey(Path.of("bindings/src/main/java/dev/heddle/bindings/NativeLibrary.java"));
  }

  @Test
  void sourceFile_keepsToItsLineBudget() {
    List<String> large =
        sources.entrySet().stream()
            .filter(source -> source.getValue().size() > USUAL_LINES)
            .sorted(Comparator.comparingInt(source -> -source.getValue().size()))
            .map(source -> "%5d  %s".formatted(source.getValue().size(), source.getKey()))
            .toList();
    int lines = sources.values().stream().mapToInt(List::size).sum();
    System.out.printf(
        "%d source files, %d lines; %d of them above %d lines%n",
        sources.size(), lines, large.size(), USUAL_LINES);
    large.forEach(System.out::println);

    List<Path> tooLarge =
        sources.keySet().stream().filter(file -> sources.get(file).size() > MOST_LINES).toList();
    assertThat(tooLarge).as("files above %d lines; split them by concept", MOST_LINES).isEmpty();
  }

  @Test
  void sourceFile_hasNoUnfinishedMarks() {
    List<Path> unfinished =
        sources.keySet().stream()
            .filter(file -> sources.get(file).stream().anyMatch(UNFINISHED.asPredicate()))
            .toList();
    assertThat(unfinished).as("files with unfinished marks").isEmpty();
  }

  @Test
  void package_tellsItsStory() {
    Set<Path> untold =
        sources.keySet().stream()
            .filter(file -> file.toString().contains("/src/main/java/dev/"))
            .map(Path::getParent)
            .filter(folder -> !sources.containsKey(folder.resolve("package-info.java")))
            .collect(Collectors.toSet());
    assertThat(untold).as("packages without package-info.java").isEmpty();
  }
}
