//! Looks at pictures: views in, what the vision model saw in them out.

use nearfield_vision::VisionModel;

use crate::flow::{Emit, Stage};
use crate::messages::{Envelope, Seen, View};

/// The looking stage.
pub struct Look {
    model: VisionModel,
}

impl Look {
    /// With this model.
    pub fn new(model: VisionModel) -> Self {
        Self { model }
    }
}

impl Stage for Look {
    type In = View;
    type Out = Seen;

    fn name(&self) -> &'static str {
        "look"
    }

    fn step(&mut self, input: Envelope<View>, emit: &mut Emit<'_, Seen>) -> anyhow::Result<()> {
        let view = input.body;
        let sight = self.model.look(&view.picture)?;
        let _ = emit(Envelope::new(input.turn, Seen { view, sight }));
        Ok(())
    }
}
