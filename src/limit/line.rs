//! Who waits, in the order in which they came; anybody may leave at any time.
//!
//! A list in a slab, linked both ways: to come, to leave from the middle and to ask who is first cost the same for one
//! and for ten thousand, and the memory is that of the longest line there was.

use slab::Slab;

/// A line.
#[derive(Debug)]
pub struct Line<T> {
    nodes: Slab<Node<T>>,
    ends: Option<Ends>,
}

/// Where somebody stands, until they leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place(u32);

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: Place,
    last: Place,
}

#[derive(Debug)]
struct Node<T> {
    value: T,
    before: Option<Place>,
    after: Option<Place>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { nodes: Slab::new(), ends: None }
    }
}

impl<T> Line<T> {
    /// Puts somebody at the end.
    pub fn push(&mut self, value: T) -> Place {
        let before = self.ends.map(|ends| ends.last);
        // A worker has at most 2^22 sessions.
        let place = Place(self.nodes.insert(Node { value, before, after: None }) as u32);
        if let Some(before) = before {
            self.node(before).after = Some(place);
        }
        self.ends = Some(Ends { first: self.ends.map_or(place, |ends| ends.first), last: place });
        place
    }

    /// Takes somebody out.
    ///
    /// # Panics
    /// Where nobody stands there.
    pub fn leave(&mut self, place: Place) -> T {
        let Node { value, before, after } = self.nodes.remove(place.0 as usize);
        if let Some(before) = before {
            self.node(before).after = after;
        }
        if let Some(after) = after {
            self.node(after).before = before;
        }
        let Ends { first, last } = self.ends.expect("somebody stood in the line");
        let first = if first == place { after } else { Some(first) };
        let last = if last == place { before } else { Some(last) };
        self.ends = first.zip(last).map(|(first, last)| Ends { first, last });
        value
    }

    /// Who stands there.
    pub fn get(&self, place: Place) -> Option<&T> {
        self.nodes.get(place.0 as usize).map(|node| &node.value)
    }

    /// Who is first.
    pub fn first(&self) -> Option<&T> {
        self.ends.and_then(|ends| self.get(ends.first))
    }

    /// Whether it is the first who stands there.
    pub fn is_first(&self, place: Place) -> bool {
        self.ends.is_some_and(|ends| ends.first == place)
    }

    /// Who comes after the one who stands there.
    pub fn after(&self, place: Place) -> Option<&T> {
        self.nodes.get(place.0 as usize).and_then(|node| self.get(node.after?))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let start = self.ends.map(|ends| ends.first);
        let places = std::iter::successors(start, |place| self.nodes[place.0 as usize].after);
        places.map(|place| &self.nodes[place.0 as usize].value)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    fn node(&mut self, place: Place) -> &mut Node<T> {
        &mut self.nodes[place.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a vector of those who stand in line.
        #[test]
        fn who_is_left_stays_in_order(
            steps in prop::collection::vec(prop::option::of(any::<prop::sample::Index>()), 1..200),
        ) {
            let (mut line, mut model) = (Line::default(), Vec::new());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Some(index) if !model.is_empty() => {
                        let (value, place) = model.remove(index.index(model.len()));
                        prop_assert_eq!(line.leave(place), value);
                    }
                    _ => model.push((number, line.push(number))),
                }
                let expected: Vec<_> = model.iter().map(|(value, _)| *value).collect();
                prop_assert_eq!(line.iter().copied().collect::<Vec<_>>(), expected.clone());
                prop_assert_eq!((line.len(), line.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(line.first(), expected.first());
                for (at, (value, place)) in model.iter().enumerate() {
                    prop_assert_eq!(line.get(*place), Some(value));
                    prop_assert_eq!(line.is_first(*place), at == 0);
                    prop_assert_eq!(line.after(*place), expected.get(at + 1));
                }
            }
        }
    }
}
