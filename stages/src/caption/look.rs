//! Looks at pictures: views in, what the vision model saw in them out. Where nothing moves, the model is not called at all.

use nearfield_vision::{Motion, VisionModel, VisionResult};

use crate::flow::{Emit, Stage};
use crate::messages::{Envelope, Seen, View};

/// The looking stage.
pub struct Look {
    model: VisionModel,
    /// Looks first, if the model is only to see pictures in which something moves.
    motion: Option<Motion>,
    /// The last result of the model's.
    last: Option<VisionResult>,
}

impl Look {
    /// With this model, which sees each picture.
    pub fn new(model: VisionModel) -> Self {
        Self { model, motion: None, last: None }
    }

    /// The model sees only pictures in which something moves; of the others the result is that of the last that it saw.
    pub fn with_motion(model: VisionModel, motion: Motion) -> Self {
        Self { model, motion: Some(motion), last: None }
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
        if let Some(motion) = &mut self.motion {
            let wants_look = motion.wants_look(&view.picture, view.at);
            if let Some(last) = &self.last
                && !wants_look
            {
                let sight = VisionResult { is_held: true, ..last.clone() };
                let _ = emit(Envelope::new(input.turn, Seen { view, sight }));
                return Ok(());
            }
        }
        let sight = self.model.look(&view.picture)?;
        if self.motion.is_some() {
            self.last = Some(sight.clone());
        }
        let _ = emit(Envelope::new(input.turn, Seen { view, sight }));
        Ok(())
    }
}
