//! Which frames may come now, by their heads (RFC 9113 sections 4 to 6). In: a head. Out: nothing, or the fault that ends the connection. Always:
//! what passes has a length that its type can have, so that it is carried within bounds.

use super::connection::Connection;
use super::fault::Fault;
use super::frame::{self, Head, Kind};
use super::settings::FRAME_LEN_DEFAULT;

impl Connection {
    /// Which frames may come now.
    pub(super) fn check_order(&self, head: Head) -> Result<(), Fault> {
        // Section 3.4.
        if !self.is_ready && (head.kind != Kind::SETTINGS || head.has(frame::ACK)) {
            return Err(Fault::NoSettings);
        }
        // Section 6.2: a header block is not interrupted. Section 6.10: nothing else is continued.
        let is_continued = head.kind == Kind::CONTINUATION;
        match self.open_block {
            Some(block) if !is_continued || block.number != head.number => Err(Fault::Continuation),
            None if is_continued => Err(Fault::Continuation),
            _ => Ok(()),
        }
    }

    /// Lengths and streams that a type can have: section 6.
    pub(super) fn check_head(&self, head: Head) -> Result<(), Fault> {
        let check = |is_good: bool, fault: Fault| if is_good { Ok(()) } else { Err(fault) };
        check(
            head.len <= self.settings.frame_len_max as usize,
            Fault::FrameLength,
        )?;
        let is_of_stream = head.number != 0;
        match head.kind {
            Kind::DATA => {
                check(is_of_stream, Fault::StreamZero)?;
                self.check_known(head.number)
            }
            Kind::HEADERS => {
                check(is_of_stream, Fault::StreamZero)?;
                self.check_known(head.number)?;
                check(head.len <= self.block_len_max(), Fault::BlockTooLong)
            }
            Kind::PRIORITY => check(is_of_stream, Fault::StreamZero),
            Kind::RST_STREAM => {
                check(is_of_stream, Fault::StreamZero)?;
                check(head.len == 4, Fault::FrameLength)?;
                self.check_known(head.number)
            }
            Kind::SETTINGS => {
                check(!is_of_stream, Fault::StreamZero)?;
                let is_good = if head.has(frame::ACK) {
                    head.len == 0
                } else {
                    // Longer ones are carried by nobody, though larger frames be allowed.
                    head.len.is_multiple_of(6) && head.len <= FRAME_LEN_DEFAULT as usize
                };
                check(is_good, Fault::FrameLength)
            }
            // Section 8.4: it was not allowed.
            Kind::PUSH_PROMISE => Err(Fault::Push),
            Kind::PING => {
                check(!is_of_stream, Fault::StreamZero)?;
                check(head.len == 8, Fault::FrameLength)
            }
            Kind::GOAWAY => {
                check(!is_of_stream, Fault::StreamZero)?;
                check(head.len >= 8, Fault::FrameLength)
            }
            Kind::WINDOW_UPDATE => {
                check(head.len == 4, Fault::FrameLength)?;
                if is_of_stream {
                    self.check_known(head.number)?;
                }
                Ok(())
            }
            Kind::CONTINUATION => check(
                self.block.len() + head.len <= self.block_len_max(),
                Fault::BlockTooLong,
            ),
            _ => Ok(()),
        }
    }

    /// Section 5.1: streams that were never opened have no frames. Even numbers are of pushes, which there are none of.
    const fn check_known(&self, number: u32) -> Result<(), Fault> {
        if number % 2 == 1 && number < self.next_number {
            Ok(())
        } else {
            Err(Fault::IdleStream)
        }
    }
}
