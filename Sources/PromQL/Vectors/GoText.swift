// SPDX-License-Identifier: Apache-2.0
// Numbers in messages.

import Base

enum GoText {
    /// A number as Go's `%v` prints it.
    static func value(_ number: Double) -> String { floatGeneralText(number) }
}
