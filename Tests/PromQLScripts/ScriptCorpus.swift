// SPDX-License-Identifier: Apache-2.0
// The public scripts, and how many evaluations they hold.

import TestKit

/// A script of the corpus.
package struct CorpusScript: Sendable {
    package var name: String
    package var text: String

    /// Lines that start an evaluation, counted without the script parser.
    package var evaluationCount: Int {
        text.split(separator: "\n").count { line in
            line.drop { $0 == " " || $0 == "\t" }.lowercased().hasPrefix("eval")
        }
    }
}

/// The scripts, ascending by name; none when the corpora are not there.
///
/// - Parameter only: start of the names of those wanted.
package func scriptCorpus(only: String? = nil) -> [CorpusScript] {
    Corpora.names(under: "promql").filter { $0.hasSuffix(".test") && $0.hasPrefix(only ?? "") }
        .compactMap { name in
            Corpora.file("promql/" + name).map {
                CorpusScript(name: name, text: String(decoding: $0, as: UTF8.self))
            }
        }
}
